using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Prediction;

/// <summary>
/// A routing trace on disk: <c>MOEBTRC1</c>, a version, the length and hash of what follows, and a deflated body:
/// the shape, then token ids, choices and gates. Numbers are little-endian.
/// </summary>
internal static class TraceFile
{
    private const int Version = 2;

    /// <summary>Of an expert, and of all else.</summary>
    private const long MostBytes = 1L << 50;

    /// <summary>Of the name of an architecture.</summary>
    private const int MostLetters = 64;

    private static ReadOnlySpan<byte> Magic => "MOEBTRC1"u8;

    /// <summary>Writes a trace; a file of that name is replaced only when the new one is whole.</summary>
    /// <exception cref="UserInputException">The file cannot be written.</exception>
    public static void Write(string path, RoutingTrace trace) => BinaryFile.Write(path, Magic, Version, writer => Body(writer, trace));

    /// <exception cref="UserInputException">It is not a whole trace of this version; the message says what is wrong.</exception>
    public static RoutingTrace Read(string path) => BinaryFile.Read(path, "routing trace", "moebius trace", Magic, Version, Body);

    private static void Body(BinaryWriter writer, RoutingTrace trace)
    {
        var shape = trace.Shape;
        writer.Write(shape.Architecture);
        foreach (var number in new[] { shape.Layers, shape.Experts, shape.TopK, shape.Horizon, shape.Vocabulary })
            writer.Write(number);
        writer.Write(shape.ExpertBytes);
        writer.Write(shape.DenseBytes);
        writer.Write(trace.Tokens.Length);
        foreach (var token in trace.Tokens)
            writer.Write(token);
        foreach (var expert in trace.Chosen)
            writer.Write(expert);
        writer.Write(trace.Gates);
    }

    /// <param name="reader">The file's body.</param>
    /// <param name="most">Bytes that it can have: nothing is allocated for more.</param>
    private static RoutingTrace Body(BinaryReader reader, long most)
    {
        var architecture = Architecture(reader);
        var layers = Number(reader, "layers", 1, ModelLimits.Layers);
        var experts = Number(reader, "experts", 1, ModelLimits.Experts);
        var shape = new TraceShape(
            architecture,
            layers,
            experts,
            Number(reader, "top-k", 1, experts),
            Number(reader, "horizon", 0, layers),
            Number(reader, "vocabulary", 1, int.MaxValue),
            reader.ReadInt64(),
            reader.ReadInt64());
        if (shape.ExpertBytes is < 1 or > MostBytes || shape.DenseBytes is < 0 or > MostBytes)
            throw new InvalidDataException($"experts of {shape.ExpertBytes} bytes and {shape.DenseBytes} others");
        // What a token takes: its id, and for each layer its choices and gates.
        var each = sizeof(int) + ((long)layers * ((sizeof(ushort) * shape.TopK) + ((shape.Horizon + 1L) * experts)));
        var tokens = new int[Number(reader, "tokens", 0, (int)Math.Min(int.MaxValue, most / each))];
        for (var i = 0; i < tokens.Length; i++)
            tokens[i] = Number(reader, "token", 0, shape.Vocabulary - 1);
        var chosen = new ushort[checked(tokens.Length * layers * shape.TopK)];
        for (var i = 0; i < chosen.Length; i++)
        {
            chosen[i] = reader.ReadUInt16();
            if (chosen[i] >= experts)
                throw new InvalidDataException($"expert {chosen[i]} of {experts}");
        }

        var gates = new byte[checked(tokens.Length * layers * shape.GateValues)];
        reader.BaseStream.ReadExactly(gates);
        return new RoutingTrace(shape, tokens, chosen, gates);
    }

    /// <summary>It is shown as it is: a name, and nothing that a terminal would obey.</summary>
    private static string Architecture(BinaryReader reader)
    {
        var length = reader.Read7BitEncodedInt();
        if (length is < 1 or > MostLetters)
            throw new InvalidDataException($"the architecture's name has {length} letters; it must have from 1 to {MostLetters}");
        var name = reader.ReadBytes(length);
        return name.All(letter => char.IsAsciiLetterOrDigit((char)letter) || letter is (byte)'_' or (byte)'-' or (byte)'.')
            ? System.Text.Encoding.ASCII.GetString(name)
            : throw new InvalidDataException("the architecture's name has other signs than letters, digits, '_', '-' and '.'");
    }

    private static int Number(BinaryReader reader, string what, int least, int most)
    {
        var value = reader.ReadInt32();
        return value >= least && value <= most ? value : throw new InvalidDataException($"{what} is {value}; it must be from {least} to {most}");
    }
}
