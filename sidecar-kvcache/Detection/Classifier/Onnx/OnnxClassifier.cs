using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Moebius.Crds;

namespace Moebius.KvCache.Detection.Classifier.Onnx;

/// <summary>
/// A token classifier in ONNX form, as exported from DistilBERT, BERT or DeBERTa models for personal data: inputs
/// <c>input_ids</c>, <c>attention_mask</c> and, if it has it, <c>token_type_ids</c> (int64, batch by length); output
/// logits (float32, batch by length by labels). <c>config.json</c> names the labels; <c>O</c> is "nothing private".
/// </summary>
internal sealed class OnnxClassifier : IPrivacyClassifier, IDisposable
{
    /// <summary>Longest row in tokens, with the two that frame it.</summary>
    public const int MaxTokens = 512;

    /// <summary>Rows of one run: bounds the memory that a batch takes.</summary>
    public const int MaxRows = 16;

    private const double LeastInSpan = 0.3;

    private readonly InferenceSession _session;
    private readonly ISubwords _subwords;
    private readonly string[] _labels;
    private readonly int _harmless;

    private OnnxClassifier(InferenceSession session, ISubwords subwords, string[] labels, string digest)
    {
        (_session, _subwords, _labels, Digest) = (session, subwords, labels, digest);
        _harmless = Array.IndexOf(labels, "O");
    }

    public string Digest { get; }

    /// <summary>Loads a folder with model.onnx, config.json and tokenizer.json or vocab.txt.</summary>
    /// <exception cref="UserInputException">A file is missing, or is not what it should be; the message names it.</exception>
    public static OnnxClassifier Load(string folder)
    {
        var model = Path.Combine(folder, "model.onnx");
        if (!File.Exists(model))
            throw new UserInputException($"'{model}' does not exist: mount a folder with model.onnx, config.json and tokenizer.json");
        var labels = Labels(Path.Combine(folder, "config.json"));
        var subwords = SubwordFiles.Read(folder);
        var digest = DigestOf(folder);
        InferenceSession? session = null;
        try
        {
            // One thread: the classifier must not take the processors from the engine.
            using var options = new SessionOptions { IntraOpNumThreads = 1, InterOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
            session = new InferenceSession(model, options);
            if (session.InputMetadata.Keys.FirstOrDefault(name => name is not ("input_ids" or "attention_mask" or "token_type_ids")) is { } other)
                throw new UserInputException($"'{model}': input '{other}': a token classifier takes input_ids, attention_mask and token_type_ids only");
            if (!session.InputMetadata.ContainsKey("input_ids"))
                throw new UserInputException($"'{model}': no input input_ids: this is not a token classifier");
            if (session.InputMetadata.FirstOrDefault(input => input.Value.ElementType != typeof(long)) is { Key: not null } narrow)
                throw new UserInputException($"'{model}': input '{narrow.Key}' is of {narrow.Value.ElementType.Name}, must be of int64");
            var output = session.OutputMetadata.First().Value;
            if (output.ElementType != typeof(float))
                throw new UserInputException($"'{model}': its output is of {output.ElementType.Name}, must be of float32: export it in full precision");
            var shape = output.Dimensions;
            if (shape.Length != 3 || (shape[2] > 0 && shape[2] != labels.Length))
                throw new UserInputException($"'{model}': its output has the shape [{string.Join(", ", shape)}], must be [batch, length, {labels.Length}] for the labels of config.json");
            return new OnnxClassifier(session, subwords, labels, digest);
        }
        catch (OnnxRuntimeException error)
        {
            session?.Dispose();
            throw new UserInputException($"'{model}' cannot be loaded: {error.Message.Split('\n')[0]}", error);
        }
        catch (UserInputException)
        {
            session?.Dispose();
            throw;
        }
    }

    public IReadOnlyList<PassageScore> Score(IReadOnlyList<string> passages)
    {
        var spans = passages.Select(_ => new List<ScoredSpan>()).ToArray();
        var rows = passages.SelectMany((passage, index) => Rows(passage, index)).ToArray();
        // Rows of like length together: padding is work for nothing.
        Array.Sort(rows, static (left, right) => left.Ids.Count.CompareTo(right.Ids.Count));
        var most = new double[passages.Count];
        for (var start = 0; start < rows.Length; start += MaxRows)
            Run(rows.AsSpan(start, Math.Min(MaxRows, rows.Length - start)), spans, most);
        // Letters in circles are no words that it was trained on: that it finds nothing in them says nothing.
        for (var index = 0; index < most.Length; index++)
        {
            if (most[index] < PassageScore.Unknown && Unreadable.Has(passages[index], isFolded: false))
                most[index] = PassageScore.Unknown;
        }

        return [.. spans.Select((found, index) => new PassageScore(most[index], [.. found.OrderBy(span => span.Start)]))];
    }

    public void Dispose() => _session.Dispose();

    /// <summary>Of all files that decide what is found; weights may lie beside the model's file.</summary>
    /// <exception cref="UserInputException">One cannot be read; the message names it.</exception>
    private static string DigestOf(string folder)
    {
        using var all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var path in Directory.GetFiles(folder).Where(Decides).Order(StringComparer.Ordinal))
        {
            try
            {
                using var file = File.OpenRead(path);
                all.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(path)}\n"));
                all.AppendData(SHA256.HashData(file));
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw new UserInputException($"'{path}' cannot be read: {error.Message}", error);
            }
        }

        return Convert.ToHexStringLower(all.GetHashAndReset());
    }

    private static bool Decides(string path) =>
        Path.GetFileName(path) is "config.json" or "tokenizer.json" or "tokenizer_config.json" or "vocab.txt" || Path.GetFileName(path).StartsWith("model.onnx", StringComparison.Ordinal) || Path.GetExtension(path) == ".data";

    private static string[] Labels(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            var numbered = document.RootElement.GetProperty("id2label").EnumerateObject()
                .ToDictionary(label => int.Parse(label.Name, System.Globalization.CultureInfo.InvariantCulture), label => label.Value.GetString() ?? throw new FormatException($"label {label.Name} is null"));
            var labels = Enumerable.Range(0, numbered.Count).Select(number => numbered.TryGetValue(number, out var label) ? label : throw new FormatException($"label {number} is missing")).ToArray();
            return Array.IndexOf(labels, "O") >= 0 ? labels : throw new UserInputException($"'{path}': id2label: no label O, which means nothing private");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException)
        {
            throw new UserInputException($"'{path}' does not name the labels in id2label: {error.Message}", error);
        }
    }

    /// <summary>One row for a passage, or several when it has more pieces than the model reads at once.</summary>
    private IEnumerable<Row> Rows(string passage, int index)
    {
        var row = new Row(index);
        foreach (var (word, start, end) in SplitWords(passage))
        {
            var pieces = _subwords.Encode(word, start == 0 || char.IsWhiteSpace(passage[start - 1]));
            if (row.Ids.Count + pieces.Count > MaxTokens - 2 && row.Ids.Count > 0)
            {
                yield return row;
                row = new Row(index);
            }

            foreach (var piece in pieces.Take(MaxTokens - 2))
            {
                row.Ids.Add(piece);
                row.Spans.Add((start, end));
            }
        }

        if (row.Ids.Count > 0)
            yield return row;
    }

    private static IEnumerable<(string Word, int Start, int End)> SplitWords(string passage)
    {
        for (var start = 0; start < passage.Length;)
        {
            var end = start + 1;
            if (char.IsWhiteSpace(passage[start]))
            {
                start++;
                continue;
            }

            if (char.IsLetterOrDigit(passage[start]) && passage[start] < 0x2E80)
            {
                while (end < passage.Length && char.IsLetterOrDigit(passage[end]) && passage[end] < 0x2E80)
                    end++;
            }
            else if (char.IsHighSurrogate(passage[start]) && end < passage.Length)
            {
                end++;
            }

            yield return (passage[start..end], start, end);
            start = end;
        }
    }

    private void Run(ReadOnlySpan<Row> rows, List<ScoredSpan>[] spans, double[] most)
    {
        var length = rows[^1].Ids.Count + 2;
        var ids = new DenseTensor<long>([rows.Length, length]);
        var mask = new DenseTensor<long>([rows.Length, length]);
        for (var row = 0; row < rows.Length; row++)
        {
            var count = rows[row].Ids.Count;
            for (var column = 0; column < length; column++)
            {
                ids[row, column] = column == 0 ? _subwords.Start : column <= count ? rows[row].Ids[column - 1] : column == count + 1 ? _subwords.End : _subwords.Padding;
                mask[row, column] = column <= count + 1 ? 1 : 0;
            }
        }

        var typeIds = new DenseTensor<long>([rows.Length, length]);
        var inputs = _session.InputMetadata.Keys.Select(name => NamedOnnxValue.CreateFromTensor(name, name switch
        {
            "input_ids" => ids,
            "attention_mask" => mask,
            _ => typeIds,
        })).ToArray();
        using var outputs = _session.Run(inputs);
        var logits = outputs[0].AsTensor<float>();
        for (var row = 0; row < rows.Length; row++)
        {
            for (var piece = 0; piece < rows[row].Ids.Count; piece++)
                Judge(logits, row, piece + 1, rows[row].Spans[piece], spans[rows[row].Passage], ref most[rows[row].Passage]);
        }
    }

    private void Judge(Tensor<float> logits, int row, int column, (int Start, int End) place, List<ScoredSpan> spans, ref double most)
    {
        var (largest, best) = (float.NegativeInfinity, -1);
        for (var label = 0; label < _labels.Length; label++)
        {
            largest = Math.Max(largest, logits[row, column, label]);
            if (label != _harmless && (best < 0 || logits[row, column, label] > logits[row, column, best]))
                best = label;
        }

        var total = 0d;
        for (var label = 0; label < _labels.Length; label++)
            total += Math.Exp(logits[row, column, label] - largest);
        var probability = 1 - (Math.Exp(logits[row, column, _harmless] - largest) / total);
        // Not a number: the model is broken, which must not make text public.
        if (double.IsNaN(probability))
            probability = 1;
        most = Math.Max(most, probability);
        if (probability < LeastInSpan || best < 0)
            return;
        var kind = _labels[best][(_labels[best].StartsWith("B-", StringComparison.Ordinal) || _labels[best].StartsWith("I-", StringComparison.Ordinal) ? 2 : 0)..];
        if (spans is [.., var last] && last.Kind == kind && place.Start >= last.Start && place.Start - last.End <= 1)
            spans[^1] = last with { End = place.End, Probability = Math.Max(last.Probability, probability) };
        else
            spans.Add(new ScoredSpan(kind, place.Start, place.End, probability));
    }

    private sealed class Row(int passage)
    {
        public int Passage { get; } = passage;

        public List<int> Ids { get; } = [];

        public List<(int Start, int End)> Spans { get; } = [];
    }
}
