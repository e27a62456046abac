using Google.Protobuf;

namespace Moebius.KvCache.Tests.Detection.Classifier;

/// <summary>
/// Writes an ONNX model of one node by hand: logits = Gather(table, input_ids), so each token has the logits of its row.
/// Field numbers are those of onnx.proto (IR version 8, opset 17).
/// </summary>
internal static class TinyOnnx
{
    private const int Int32 = 6;
    private const int Int64 = 7;
    private const int Float = 1;
    private const int Float16 = 10;

    /// <param name="table">Rows: tokens; columns: labels.</param>
    /// <param name="inputs">Names of the inputs; the first one is used.</param>
    public static byte[] Model(float[,] table, params string[] inputs) => Model(table, Int64, Float, inputs);

    /// <summary>The same with inputs of 32 bits.</summary>
    public static byte[] ModelOfShortIds(float[,] table, params string[] inputs) => Model(table, Int32, Float, inputs);

    /// <summary>The same with logits of 16 bits.</summary>
    public static byte[] ModelOfHalves(float[,] table, params string[] inputs) => Model(table, Int64, Float16, inputs);

    private static byte[] Model(float[,] table, int ids, int logits, string[] inputs)
    {
        byte[] data = [.. table.Cast<float>().SelectMany(value => logits == Float16 ? BitConverter.GetBytes((Half)value) : BitConverter.GetBytes(value))];
        var initializer = Message(
            Number(1, table.GetLength(0)), Number(1, table.GetLength(1)), Number(2, logits), Text(8, "table"), Bytes(9, data));
        var node = Message(Text(1, "table"), Text(1, inputs[0]), Text(2, "logits"), Text(4, "Gather"));
        var graph = Message(
            [Bytes(1, node), Text(2, "tiny"), Bytes(5, initializer), .. inputs.Select(name => Bytes(11, Value(name, ids, null))), Bytes(12, Value("logits", logits, table.GetLength(1)))]);
        return Message(Number(1, 8), Bytes(7, graph), Bytes(8, Message(Text(1, ""), Number(2, 17))));
    }

    private static byte[] Value(string name, int type, int? last)
    {
        var dimensions = new List<byte[]> { Bytes(1, Message(Text(2, "batch"))), Bytes(1, Message(Text(2, "length"))) };
        if (last is { } size)
            dimensions.Add(Bytes(1, Message(Number(1, size))));
        var tensor = Message(Number(1, type), Bytes(2, Message([.. dimensions])));
        return Message(Text(1, name), Bytes(2, Message(Bytes(1, tensor))));
    }

    private static byte[] Message(params byte[][] fields) => [.. fields.SelectMany(field => field)];

    private static byte[] Number(int field, long value) => Write(output =>
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt64(value);
    });

    private static byte[] Text(int field, string value) => Bytes(field, System.Text.Encoding.UTF8.GetBytes(value));

    private static byte[] Bytes(int field, byte[] value) => Write(output =>
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(value));
    });

    private static byte[] Write(Action<CodedOutputStream> write)
    {
        using var memory = new MemoryStream();
        using (var output = new CodedOutputStream(memory, leaveOpen: true))
            write(output);
        return memory.ToArray();
    }
}
