using System.Globalization;

namespace Moebius.Cxl.Topology;

/// <summary>
/// Reads small files below a sysfs root. What is missing is null; what is there but makes no sense is a warning that
/// names the file, the value and what would be right.
/// </summary>
internal sealed class SysfsTree(string root)
{
    private readonly List<string> _warnings = [];

    /// <summary>What could not be understood so far.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>True if the path is there.</summary>
    public bool Exists(string path) => Path.Exists(Full(path));

    /// <summary>Names in a directory that start with a prefix and go on with a digit, in natural order.</summary>
    public IEnumerable<string> Numbered(string directory, string prefix)
    {
        var full = Full(directory);
        if (!Directory.Exists(full))
            return [];
        return new DirectoryInfo(full).EnumerateFileSystemInfos()
            .Select(entry => entry.Name)
            .Where(name => name.Length > prefix.Length && name.StartsWith(prefix, StringComparison.Ordinal) && char.IsAsciiDigit(name[prefix.Length]))
            .OrderBy(name => name, NaturalOrder);
    }

    /// <summary>Entries of a directory whose name is a prefix and a whole number, by that number.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="prefix">What the names start with.</param>
    /// <param name="most">The largest number that makes sense; a name with another one, or with more behind it, is a warning.</param>
    public IReadOnlyList<(string Name, int Number)> Indexed(string directory, string prefix, int most)
    {
        var entries = new List<(string Name, int Number)>();
        foreach (var name in Numbered(directory, prefix))
        {
            var digits = name[prefix.Length..];
            // Written in one way only, so that no number stands there twice.
            if (int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= most && digits == number.ToString(CultureInfo.InvariantCulture))
                entries.Add((name, number));
            else
                _warnings.Add($"{directory}/{name}: is left out: '{digits}' is not a whole number from 0 to {most}");
        }

        return entries;
    }

    /// <summary>A file's text without surrounding blanks.</summary>
    public string? Text(string path)
    {
        try
        {
            return File.ReadAllText(Full(path)).Trim();
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The kernel answers reads of attributes that make no sense in a device's state with ENXIO or EBUSY.
            if (error is UnauthorizedAccessException)
                _warnings.Add($"{path}: cannot be read: {error.Message}");
            return null;
        }
    }

    /// <summary>A whole number, decimal or hexadecimal with 0x.</summary>
    public long? Number(string path)
    {
        if (Text(path) is not { Length: > 0 } text)
            return null;
        var parsed = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
        if (parsed)
            return value;
        _warnings.Add($"{path}: '{text}' is not a number");
        return null;
    }

    /// <summary>A whole number within bounds.</summary>
    public int? Number(string path, int minimum, int maximum)
    {
        if (Number(path) is not { } value)
            return null;
        if (value >= minimum && value <= maximum)
            return (int)value;
        _warnings.Add($"{path}: {value} is outside {minimum} to {maximum}");
        return null;
    }

    /// <summary>A list as in <c>0-3,8</c>.</summary>
    public IReadOnlyList<int>? List(string path)
    {
        if (Text(path) is not { } text)
            return null;
        if (Kernel.CpuList.TryParse(text) is { } list)
            return list;
        _warnings.Add($"{path}: '{text}' is not a list of numbers such as 0-3,8");
        return null;
    }

    /// <summary>The last part of a symbolic link's target.</summary>
    public string? LinkName(string path) => Link(path) is { } target ? Path.GetFileName(target.TrimEnd('/')) : null;

    /// <summary>A symbolic link's target as written, or null if there is no link.</summary>
    public string? Link(string path)
    {
        var info = new FileInfo(Full(path));
        return info.LinkTarget ?? new DirectoryInfo(Full(path)).LinkTarget;
    }

    /// <summary>Adds a warning.</summary>
    public void Warn(string message) => _warnings.Add(message);

    private static readonly Comparer<string> NaturalOrder = Comparer<string>.Create((left, right) =>
    {
        var (a, b) = (Numbers(left), Numbers(right));
        for (var i = 0; i < Math.Min(a.Length, b.Length); i++)
        {
            if (a[i] != b[i])
                return a[i].CompareTo(b[i]);
        }

        return string.CompareOrdinal(left, right);
    });

    private string Full(string path) => Path.Combine(root, path);

    private static long[] Numbers(string name) =>
        [.. name.Split([.. name.Where(c => !char.IsAsciiDigit(c)).Distinct()], StringSplitOptions.RemoveEmptyEntries)
            .Select(digits => long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : long.MaxValue)];
}
