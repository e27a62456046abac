using System.Globalization;
using Npgsql;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>libpq's form of a connection string: <c>postgresql://user:password@host:port,host:port/database?parameter=value</c>.</summary>
internal static class ConnectionUri
{
    private static readonly string[] Schemes = ["postgresql://", "postgres://"];

    /// <summary>libpq's parameters and Npgsql's keywords for them.</summary>
    private static readonly Dictionary<string, string> Parameters = new(StringComparer.Ordinal)
    {
        ["host"] = "Host",
        ["port"] = "Port",
        ["dbname"] = "Database",
        ["user"] = "Username",
        ["password"] = "Password",
        ["sslmode"] = "SSL Mode",
        ["sslrootcert"] = "Root Certificate",
        ["sslcert"] = "SSL Certificate",
        ["sslkey"] = "SSL Key",
        ["sslpassword"] = "SSL Password",
        ["channel_binding"] = "Channel Binding",
        ["connect_timeout"] = "Timeout",
        ["application_name"] = "Application Name",
        ["target_session_attrs"] = "Target Session Attributes",
        ["options"] = "Options",
    };

    public static bool Is(string text) => Array.Exists(Schemes, scheme => text.StartsWith(scheme, StringComparison.OrdinalIgnoreCase));

    /// <exception cref="Moebius.Crds.UserInputException">A part cannot be understood.</exception>
    public static NpgsqlConnectionStringBuilder Parse(string text)
    {
        var rest = text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..];
        var (place, query) = Cut(rest, '?');
        // The last @ and the first / after it: passwords are not always encoded.
        var at = place.LastIndexOf('@');
        var (hosts, database) = Cut(place[(at + 1)..], '/');
        var options = new NpgsqlConnectionStringBuilder();
        if (at >= 0)
        {
            var (user, password) = Cut(place[..at], ':');
            if (user.Length > 0)
                options.Username = Decode(user);
            if (password is { Length: > 0 })
                options.Password = Decode(password);
        }

        if (hosts.Length > 0)
            SetHosts(options, hosts);
        if (database is { Length: > 0 })
            options.Database = Decode(database);
        if (query is { Length: > 0 })
            SetParameters(options, query);
        return options;
    }

    private static void SetHosts(NpgsqlConnectionStringBuilder options, string hosts)
    {
        var all = hosts.Split(',').Select(Host).ToList();
        if (all is [var (host, port)])
        {
            options.Host = host;
            if (port is { } one)
                options.Port = one;
            return;
        }

        options.Host = string.Join(',', all.Select(each => each.Port is { } number ? string.Create(CultureInfo.InvariantCulture, $"{each.Host}:{number}") : each.Host));
    }

    private static (string Host, int? Port) Host(string text)
    {
        // An address of version 6 stands in brackets.
        var end = text.StartsWith('[') ? text.IndexOf(']', StringComparison.Ordinal) + 1 : text.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon ? colon : text.Length;
        if (end == 0)
            throw StoreConnection.Wrong("its host has a '[' without a ']'");
        var (host, rest) = (Decode(text[..end]), text[end..]);
        if (rest.Length == 0)
            return (host, null);
        return rest[0] == ':' && int.TryParse(rest.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and < 65536
            ? (host, port)
            : throw StoreConnection.Wrong("its port is not a whole number from 1 to 65535 (a '/', '?', '#' or '@' in the password is percent-encoded)");
    }

    private static void SetParameters(NpgsqlConnectionStringBuilder options, string query)
    {
        var position = 0;
        foreach (var pair in query.Split('&'))
        {
            position++;
            var (name, value) = Cut(pair, '=');
            // Not its name: of a password with a question mark, it would be a piece.
            if (!Parameters.TryGetValue(name, out var keyword) || value is null)
                throw StoreConnection.Wrong($"its parameter {position.ToString(CultureInfo.InvariantCulture)} is none of those supported here: {string.Join(", ", Parameters.Keys)} (a '?' in the password is percent-encoded)");
            StoreConnection.Set(options, keyword, Value(keyword, Decode(value)), position);
        }
    }

    /// <summary>Npgsql writes two words of a mode as one.</summary>
    private static string Value(string keyword, string value) => keyword == "SSL Mode" ? value.Replace("-", "", StringComparison.Ordinal) : value;

    private static (string Before, string? After) Cut(string text, char at) => text.IndexOf(at, StringComparison.Ordinal) is >= 0 and var place ? (text[..place], text[(place + 1)..]) : (text, null);

    private static string Decode(string text) => Uri.UnescapeDataString(text);
}
