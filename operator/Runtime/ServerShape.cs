using System.Text.Json.Nodes;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// What the API server makes of a plan. It leaves out values that say nothing (an empty text, a zero, often a false), fills in
/// others in place of a zero, and whoever mutates objects on admission has a say, too. Where its answer to an apply is not what
/// was applied, applying the same again changes nothing: those values are no drift for as long as both stay.
/// </summary>
/// <param name="hash">Of the plan that was applied.</param>
/// <param name="fields">The values that the server answered otherwise, by path; null where it answered without the field.</param>
internal sealed class ServerShape(string hash, IReadOnlyDictionary<string, string?> fields)
{
    /// <summary>Compares an answer with what was applied.</summary>
    public static ServerShape Of(string hash, JsonObject applied, JsonObject answer)
    {
        var fields = new Dictionary<string, string?>();
        Drift.Find(applied, answer, (path, _, live) =>
        {
            fields[path] = live?.ToJsonString();
            return true;
        });
        return new ServerShape(hash, fields);
    }

    /// <summary>Whether the server has taken the plan as it is.</summary>
    public bool IsPlan => fields.Count == 0;

    /// <summary>The paths of what it has made otherwise.</summary>
    public IEnumerable<string> Paths => fields.Keys;

    /// <summary>Whether a value of a plan's object is what the server makes of it.</summary>
    public bool Has(string plan, string path, JsonNode? live) => plan == hash && fields.TryGetValue(path, out var known) && known == live?.ToJsonString();
}
