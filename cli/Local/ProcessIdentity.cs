using System.Globalization;

namespace Moebius.Cli.Local;

/// <summary>A process, told apart from a later one that gets its number.</summary>
/// <param name="Id">The number.</param>
/// <param name="Started">When it started, in clock ticks since the machine did.</param>
internal readonly record struct ProcessIdentity(int Id, long Started)
{
    /// <summary>Whether it has not ended (a zombie has).</summary>
    public bool IsAlive => Find(Id) == this;

    /// <summary>The process that has a number now; null: none, or it has ended.</summary>
    public static ProcessIdentity? Find(int id)
    {
        try
        {
            // See proc_pid_stat(5); the name, the second field, may hold anything.
            var stat = File.ReadAllText($"/proc/{id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : new(id, long.Parse(fields[19], CultureInfo.InvariantCulture));
        }
        catch (IOException)
        {
            return null;
        }
    }
}
