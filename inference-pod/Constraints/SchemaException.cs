namespace Moebius.Inference.Constraints;

/// <summary>A JSON schema cannot be followed.</summary>
/// <param name="path">Where in the schema, as a JSON pointer; empty for the whole.</param>
/// <param name="reason">What is wrong there and what would be right.</param>
internal sealed class SchemaException(string path, string reason) : Exception($"{(path.Length == 0 ? "the schema" : path)}: {reason}")
{
    /// <summary>Where in the schema.</summary>
    public string Path => path;
}
