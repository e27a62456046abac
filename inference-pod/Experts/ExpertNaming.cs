using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Experts;

/// <summary>How a family stores the experts of a layer, and so what to read for one of them.</summary>
internal abstract record ExpertNaming
{
    public virtual bool HasBiases => false;

    /// <summary>The tensors that hold a layer's experts; the scales of an fp8 matrix go with its weights.</summary>
    public abstract IEnumerable<string> Tensors(string layer, int experts);

    /// <summary>The reads that fill one expert's buffer; shapes are checked against the layout.</summary>
    public abstract IReadOnlyList<ExpertRead> Reads(Checkpoint checkpoint, string layer, int experts, int expert, ExpertLayout layout);
}

/// <summary>Three matrices per expert: <c>{module}.{e}.{gate}.weight</c> and so on.</summary>
internal sealed record SeparateExperts(string Module, string Gate, string Up, string Down) : ExpertNaming
{
    public override IEnumerable<string> Tensors(string layer, int experts) =>
        Enumerable.Range(0, experts).SelectMany(e => new[] { Name(layer, e, Gate), Name(layer, e, Up), Name(layer, e, Down) });

    public override IReadOnlyList<ExpertRead> Reads(Checkpoint checkpoint, string layer, int experts, int expert, ExpertLayout layout)
    {
        return
        [
            Whole(Name(layer, expert, Gate), layout.Gate, layout.Intermediate, layout.Hidden),
            Whole(Name(layer, expert, Up), layout.Up, layout.Intermediate, layout.Hidden),
            Whole(Name(layer, expert, Down), layout.Down, layout.Hidden, layout.Intermediate),
        ];

        ExpertRead Whole(string name, long destination, int rows, int columns)
        {
            if (Fp8Matrix.Find(checkpoint, name, rows, columns) is { } matrix)
                return new QuantizedRead(matrix, layout.Format, [destination]);
            var (file, entry) = checkpoint.Find(name, rows, columns);
            return new TensorRead(file, entry, 0, entry.Elements, [ExpertCopy.Plain(destination, layout.Format, rows, columns)]);
        }
    }

    private string Name(string layer, int expert, string part) => $"{layer}{Module}.{expert}.{part}.weight";
}

/// <summary>Two tensors for all experts of a layer: [experts, gate rows then up rows, hidden] and [experts, hidden, intermediate].</summary>
internal sealed record StackedExperts(string Input, string Output) : ExpertNaming
{
    public override IEnumerable<string> Tensors(string layer, int experts) => [layer + Input, layer + Output];

    public override IReadOnlyList<ExpertRead> Reads(Checkpoint checkpoint, string layer, int experts, int expert, ExpertLayout layout)
    {
        int hidden = layout.Hidden, rows = layout.Intermediate;
        var size = (long)hidden * rows;
        var (inputFile, input) = checkpoint.Find(layer + Input, experts, 2L * rows, hidden);
        var (outputFile, output) = checkpoint.Find(layer + Output, experts, hidden, rows);
        return
        [
            new TensorRead(inputFile, input, 2 * size * expert, size, [ExpertCopy.Plain(layout.Gate, layout.Format, rows, hidden)]),
            new TensorRead(inputFile, input, 2 * size * expert + size, size, [ExpertCopy.Plain(layout.Up, layout.Format, rows, hidden)]),
            new TensorRead(outputFile, output, size * expert, size, [ExpertCopy.Plain(layout.Down, layout.Format, hidden, rows)]),
        ];
    }
}

/// <summary>
/// gpt_oss: [experts, hidden, 2 * intermediate] with gate and up in alternating columns, [experts, intermediate,
/// hidden], and biases. Matrices are turned to [outputs, inputs] as they are read.
/// </summary>
internal sealed record InterleavedExperts(string Module) : ExpertNaming
{
    public override bool HasBiases => true;

    public override IEnumerable<string> Tensors(string layer, int experts) =>
        [$"{layer}{Module}.gate_up_proj", $"{layer}{Module}.down_proj", $"{layer}{Module}.gate_up_proj_bias", $"{layer}{Module}.down_proj_bias"];

    public override IReadOnlyList<ExpertRead> Reads(Checkpoint checkpoint, string layer, int experts, int expert, ExpertLayout layout)
    {
        int hidden = layout.Hidden, rows = layout.Intermediate;
        var size = (long)hidden * rows;
        var (gateUpFile, gateUp) = checkpoint.Find($"{layer}{Module}.gate_up_proj", experts, hidden, 2L * rows);
        var (downFile, down) = checkpoint.Find($"{layer}{Module}.down_proj", experts, rows, hidden);
        return
        [
            new TensorRead(gateUpFile, gateUp, 2 * size * expert, 2 * size,
            [
                new(layout.Gate, layout.Format, rows, hidden, 0, 2, 2L * rows),
                new(layout.Up, layout.Format, rows, hidden, 1, 2, 2L * rows),
            ]),
            new TensorRead(downFile, down, size * expert, size, [new(layout.Down, layout.Format, hidden, rows, 0, 1, hidden)]),
            .. Biases(checkpoint, layer + Module, experts, expert, layout),
        ];
    }

    /// <summary>The biases of an expert, [experts, 2 * intermediate] in alternating columns and [experts, hidden].</summary>
    public static IReadOnlyList<ExpertRead> Biases(Checkpoint checkpoint, string module, int experts, int expert, ExpertLayout layout)
    {
        int hidden = layout.Hidden, rows = layout.Intermediate;
        var (inFile, input) = checkpoint.Find($"{module}.gate_up_proj_bias", experts, 2L * rows);
        var (outFile, output) = checkpoint.Find($"{module}.down_proj_bias", experts, hidden);
        return
        [
            new TensorRead(inFile, input, 2L * rows * expert, 2L * rows,
            [
                new(layout.GateBias, WeightFormat.Float32, 1, rows, 0, 0, 2),
                new(layout.UpBias, WeightFormat.Float32, 1, rows, 1, 0, 2),
            ]),
            new TensorRead(outFile, output, (long)hidden * expert, hidden, [ExpertCopy.Plain(layout.DownBias, WeightFormat.Float32, 1, hidden)]),
        ];
    }
}

/// <summary>
/// gpt_oss as it is published, in mxfp4: [experts, 2 * intermediate, hidden] with gate and up in alternating rows, and
/// [experts, hidden, intermediate], with the same biases. The matrices lie as they are computed with.
/// </summary>
internal sealed record Mxfp4Experts(string Module) : ExpertNaming
{
    private static readonly string[] Parts = ["gate_up_proj_blocks", "gate_up_proj_scales", "gate_up_proj_bias", "down_proj_blocks", "down_proj_scales", "down_proj_bias"];

    public override bool HasBiases => true;

    public override IEnumerable<string> Tensors(string layer, int experts) =>
        Parts.Select(part => $"{layer}{Module}.{part}");

    public override IReadOnlyList<ExpertRead> Reads(Checkpoint checkpoint, string layer, int experts, int expert, ExpertLayout layout)
    {
        var module = layer + Module;
        return
        [
            new QuantizedRead(Mxfp4Matrix.Find(checkpoint, $"{module}.gate_up_proj", experts, expert, 2 * layout.Intermediate, layout.Hidden), layout.Format, [layout.Gate, layout.Up]),
            new QuantizedRead(Mxfp4Matrix.Find(checkpoint, $"{module}.down_proj", experts, expert, layout.Hidden, layout.Intermediate), layout.Format, [layout.Down]),
            .. InterleavedExperts.Biases(checkpoint, module, experts, expert, layout),
        ];
    }
}
