namespace Moebius.Crds.Validation;

/// <summary>Something wrong with one field of a manifest.</summary>
/// <param name="Path">The field, as in <c>spec.publicPrefixes[2].name</c>.</param>
/// <param name="Message">The value, what is wrong with it and what would be right.</param>
public sealed record FieldError(string Path, string Message)
{
    /// <summary>One line: path and message.</summary>
    public override string ToString() => $"{Path}: {Message}";
}
