namespace Moebius.Crds.Schema;

// What a C# type cannot say about an API field. The generator turns these into the OpenAPI schema of the CRD;
// required fields come from `required`, descriptions from the XML docs, defaults from property initialisers.

/// <summary>Names and scope of a custom resource.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ResourceAttribute(string plural, params string[] shortNames) : Attribute
{
    /// <summary>Plural name, as in the URL.</summary>
    public string Plural { get; } = plural;

    /// <summary>Short names for kubectl.</summary>
    public IReadOnlyList<string> ShortNames { get; } = shortNames;

    /// <summary>True for a resource without a namespace.</summary>
    public bool ClusterScoped { get; init; }

    /// <summary>Most characters of the resource's name, when objects made for it are named after it; 0 for no limit of its own.</summary>
    public int MaxNameLength { get; init; }

    /// <summary>JSON path of the replica count when the resource has a scale subresource.</summary>
    public string? ScaleSpecPath { get; init; }

    /// <summary>JSON path of the observed replica count.</summary>
    public string? ScaleStatusPath { get; init; }

    /// <summary>JSON path of the label selector as a string, for autoscalers.</summary>
    public string? ScaleSelectorPath { get; init; }
}

/// <summary>A column of <c>kubectl get</c>.</summary>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true)]
public sealed class PrinterColumnAttribute(string name, string jsonPath, string type = "string") : Attribute
{
    /// <summary>Heading.</summary>
    public string Name { get; } = name;

    /// <summary>JSON path from the object's root, starting with a dot.</summary>
    public string JsonPath { get; } = jsonPath;

    /// <summary>string, integer, number, boolean or date.</summary>
    public string Type { get; } = type;

    /// <summary>0 is always shown, higher only with <c>-o wide</c>.</summary>
    public int Priority { get; init; }

    /// <summary>What the column says.</summary>
    public string? Description { get; init; }
}

/// <summary>A CEL validation rule (<c>x-kubernetes-validations</c>) on a type or a property.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Property, AllowMultiple = true)]
public sealed class CelRuleAttribute(string rule, string message) : Attribute
{
    /// <summary>The expression over <c>self</c> (and <c>oldSelf</c>).</summary>
    public string Rule { get; } = rule;

    /// <summary>What a person reads when the rule is broken.</summary>
    public string Message { get; } = message;
}

/// <summary>Inclusive numeric bounds.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class RangeAttribute(long minimum, long maximum) : Attribute
{
    /// <summary>Smallest value allowed.</summary>
    public long Minimum { get; } = minimum;

    /// <summary>Largest value allowed.</summary>
    public long Maximum { get; } = maximum;
}

/// <summary>Bounds of a string's length, or of the number of items of a list or map.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SizeAttribute(int minimum, int maximum) : Attribute
{
    /// <summary>Fewest characters or items.</summary>
    public int Minimum { get; } = minimum;

    /// <summary>Most characters or items.</summary>
    public int Maximum { get; } = maximum;
}

/// <summary>Bounds of the length of every string in a list, or of every value of a map.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ItemSizeAttribute(int minimum, int maximum) : Attribute
{
    /// <summary>Fewest characters.</summary>
    public int Minimum { get; } = minimum;

    /// <summary>Most characters.</summary>
    public int Maximum { get; } = maximum;
}

/// <summary>A regular expression (RE2) that a string, or every item of a list of strings, must match.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class PatternAttribute(string expression) : Attribute
{
    /// <summary>The expression, anchored.</summary>
    public string Expression { get; } = expression;
}

/// <summary>Expressions of several fields.</summary>
internal static class Patterns
{
    /// <summary>An HTTP address of a store; a user or password in it would be shown, and not used.</summary>
    public const string StoreUrl = "^https?://[^\\s/?#@]+([/?#][^\\s]*)?$";

    /// <summary>The name of an object: a DNS subdomain.</summary>
    public const string ObjectName = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

    /// <summary>A name within a resource, or of a namespace: a DNS label.</summary>
    public const string Label = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

    /// <summary>A name that becomes part of other names, such as that of a Service: a DNS label that begins with a letter.</summary>
    public const string ServiceName = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

    /// <summary>A key of a ConfigMap or Secret.</summary>
    public const string DataKey = "^[-._a-zA-Z0-9]+$";

    /// <summary>The name of an HTTP header.</summary>
    public const string Header = "^[A-Za-z0-9-]+$";

    /// <summary>An HTTP address.</summary>
    public const string Url = "^https?://[^\\s]+$";

    /// <summary>A share of the pods, 0% to 100%.</summary>
    public const string Percentage = "^([1-9]?[0-9]|100)%$";

    /// <summary>An image with tag or digest; the container runtime knows the finer rules.</summary>
    public const string Image = "^[A-Za-z0-9][-A-Za-z0-9._:/@]*$";
}

/// <summary>A string that holds a duration: whole numbers with units h, m, s, ms, as in <c>1h30m</c> or <c>250ms</c>.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class DurationAttribute : Attribute;

/// <summary>The rule of a path below a folder.</summary>
internal static class RelativePath
{
    public const string Rule = "!self.startsWith('/') && !self.contains('..')";

    public const string InVolume = "path must be relative and stay inside the volume";

    public const string InImage = "path must be relative and stay inside the image";
}

/// <summary>
/// The rule of a header that names a tenant or proves who named it: not one that HTTP frames a message with, nor one
/// that holds credentials, which would become names in logs.
/// </summary>
internal static class FreeHeader
{
    public const string Rule = "!(self.lowerAscii() in ['authorization', 'proxy-authorization', 'cookie', 'connection', 'content-length', 'content-type', 'transfer-encoding'])";

    public const string Message = "must be a header of its own: HTTP or a client's credentials use this one";

    public static bool Holds(string header) =>
        header.ToLowerInvariant() is not ("authorization" or "proxy-authorization" or "cookie" or "connection" or "content-length" or "content-type" or "transfer-encoding");
}

/// <summary>The rule of a duration that may not be zero.</summary>
internal static class PositiveDuration
{
    public const string Rule = "self.matches('[1-9]')";

    public const string Message = "must be longer than 0s";
}

/// <summary>
/// The rule of how long a task may wait for a CPU. The scheduler's watchdog is at 600ms (duplex.bpf.c), and the bound on
/// waiting is twice this and a round of stints.
/// </summary>
internal static class AgingDuration
{
    public const string Rule = "duration(self) <= duration('100ms')";

    public const string Message = "must be 100ms or shorter: the kernel takes out a scheduler that lets a task wait for 600ms";

    public static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(100);
}

/// <summary>The rule of a duration that a call may take: what its time-out can count.</summary>
internal static class CallDuration
{
    public const string Rule = "duration(self) >= duration('10ms') && duration(self) <= duration('24h')";

    public const string Message = "must be 10ms to 24h";
}

/// <summary>The rule of how long a result is kept: who asked for it looks every few seconds.</summary>
internal static class RetentionDuration
{
    public const string Rule = "duration(self) >= duration('1m')";

    public const string Message = "must be 1m or longer: who asked for a result has to find it";

    public static readonly TimeSpan Shortest = TimeSpan.FromMinutes(1);
}

/// <summary>The rule of a duration that somebody waits for: timers end at some weeks.</summary>
internal static class TimerDuration
{
    public const string Rule = "duration(self) <= duration('24h')";

    public const string Message = "must be 24h or shorter";

    public static readonly TimeSpan Longest = TimeSpan.FromHours(24);
}

/// <summary>A list merged by key: <c>x-kubernetes-list-type: map</c>.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ListMapAttribute(string key) : Attribute
{
    /// <summary>The items' key field.</summary>
    public string Key { get; } = key;
}

/// <summary>A list without duplicates: <c>x-kubernetes-list-type: set</c>.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ListSetAttribute : Attribute;

/// <summary>An object whose fields the schema does not know: <c>x-kubernetes-preserve-unknown-fields</c>.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class PreserveUnknownFieldsAttribute : Attribute;
