using System.Data.Common;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Moebius.Crds;
using Moebius.Crds.Config;
using Npgsql;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>How to reach a PostgreSQL database. Its text is a secret: no message of this class quotes any part of it.</summary>
internal sealed class StoreConnection
{
    private const string Forms = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE or Host=...;Username=...;Password=...;Database=...";

    private readonly NpgsqlConnectionStringBuilder _options;
    private readonly X509Certificate2Collection? _authority;

    private StoreConnection(NpgsqlConnectionStringBuilder options, X509Certificate2Collection? authority) => (_options, _authority) = (options, authority);

    /// <summary>What is connected with, for tests.</summary>
    internal NpgsqlConnectionStringBuilder Options => _options;

    /// <summary>Reads a connection string, as a URI (what Secrets of operators and clouds hold) or in Npgsql's keywords.</summary>
    /// <param name="text">The connection string.</param>
    /// <param name="authority">Certificates in PEM of the authority to trust; null: those of the system, or of the string.</param>
    /// <exception cref="UserInputException">It cannot be understood, or would not do what it seems to.</exception>
    public static StoreConnection Parse(string? text, string? authority)
    {
        if (string.IsNullOrWhiteSpace(text))
            throw Wrong($"is empty, and the store is PostgreSQL: put the connection string there: {Forms}");
        text = text.Trim();
        var options = ConnectionUri.Is(text) ? ConnectionUri.Parse(text) : Keywords(text);
        if (string.IsNullOrEmpty(options.Host))
            throw Wrong($"names no host: {Forms}");
        if (string.IsNullOrEmpty(options.Username))
            throw Wrong($"names no user: {Forms}");
        if (string.IsNullOrEmpty(options.Database))
            throw Wrong($"names no database: {Forms}");
        if (options.TargetSessionAttributes is { } wanted && !wanted.Equals("any", StringComparison.OrdinalIgnoreCase) && !options.Host.Contains(','))
            throw Wrong("asks for a kind of server (Target Session Attributes, target_session_attrs), which takes several hosts: name them, or leave it out");
        Default(options);
        if (options.RootCertificate is { Length: > 0 })
            RequireVerification(options, authority);
        return new(options, authority is { Length: > 0 } ? Authority(authority, options) : null);
    }

    public NpgsqlDataSource CreateSource()
    {
        var builder = new NpgsqlDataSourceBuilder(_options.ConnectionString);
        if (_authority is not null)
            builder.UseRootCertificates(_authority);
        try
        {
            return builder.Build();
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            // Names of keywords and numbers.
            throw Wrong(error.Message);
        }
    }

    internal static UserInputException Wrong(string problem) => new($"{ContainerVariables.StoreConnection}: {problem}");

    /// <summary>Sets one keyword. Its name is told when it is one of Npgsql's own; else it may be a piece of a password.</summary>
    internal static void Set(NpgsqlConnectionStringBuilder options, string keyword, string value, int position)
    {
        if (!options.TryGetValue(keyword, out _))
            throw Wrong($"its part {position.ToString(CultureInfo.InvariantCulture)} is not one that Npgsql knows: a value with ';', '=' or quotes stands in quotes, and in a URI is percent-encoded");
        try
        {
            options[keyword] = value;
        }
        catch (Exception error) when (error is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            // Neither the value nor the cause, which quotes it.
            throw Wrong($"'{keyword}' has a value that it cannot have");
        }
    }

    private static NpgsqlConnectionStringBuilder Keywords(string text)
    {
        // The words before :// of another kind of URI, such as jdbc:postgresql://
        if (text.IndexOf("://", StringComparison.Ordinal) is >= 0 and var scheme && text.IndexOf('=', StringComparison.Ordinal) is var first && (first < 0 || scheme < first))
            throw Wrong($"is another kind of URI: {Forms}");
        DbConnectionStringBuilder parts;
        try
        {
            parts = new() { ConnectionString = text };
        }
        catch (ArgumentException)
        {
            throw Wrong($"is no connection string: {Forms}");
        }

        var options = new NpgsqlConnectionStringBuilder();
        var position = 0;
        foreach (string keyword in parts.Keys)
        {
            var value = (string)parts[keyword];
            // psql's own form has blanks between its words.
            if (keyword.Equals("host", StringComparison.OrdinalIgnoreCase) && value.Contains('='))
                throw Wrong($"has blanks between its words, which is psql's form: {Forms}");
            Set(options, keyword, value, ++position);
        }

        return options;
    }

    /// <summary>What is not named.</summary>
    private static void Default(NpgsqlConnectionStringBuilder options)
    {
        Unless("Application Name", "moebius-prompt-optimizer");
        Unless("Timeout", "5");
        Unless("Command Timeout", "10");
        // A server has a hundred by default, for everybody.
        Unless("Maximum Pool Size", "20");
        // A broken line is found while nothing is asked.
        Unless("Keepalive", "30");
        // Kerberos is asked for by name.
        Unless("GSS Encryption Mode", "Disable");
        if (options.Host!.Contains(','))
            Unless("Target Session Attributes", "primary");
        options.Enlist = false;
        // Details of errors quote values, and logs of parameters what users wrote.
        options.IncludeErrorDetail = false;
        options.LogParameters = false;
        options.PersistSecurityInfo = false;

        void Unless(string keyword, string value)
        {
            if (!options.ShouldSerialize(keyword))
                options[keyword] = value;
        }
    }

    /// <summary>The driver reads a root certificate only in a mode that looks at the server's.</summary>
    private static void RequireVerification(NpgsqlConnectionStringBuilder options, string? authority)
    {
        if (!string.IsNullOrEmpty(authority))
            throw Wrong($"names a Root Certificate (sslrootcert), and {ContainerVariables.StoreAuthority} is set: leave one of them out");
        if (!options.ShouldSerialize("SSL Mode"))
            options.SslMode = SslMode.VerifyFull;
        if (options.SslMode is not (SslMode.VerifyFull or SslMode.VerifyCA))
            throw Wrong($"has SSL Mode {options.SslMode}, which looks at no certificate, and names a Root Certificate: write VerifyFull (in a URI sslmode=verify-full), or leave the certificate out");
    }

    private static X509Certificate2Collection Authority(string pem, NpgsqlConnectionStringBuilder options)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(pem);
        }
        catch (CryptographicException error)
        {
            throw new UserInputException($"{ContainerVariables.StoreAuthority}: holds a certificate that cannot be read: put certificates in PEM there", error);
        }

        if (certificates.Count == 0)
            throw new UserInputException($"{ContainerVariables.StoreAuthority}: holds no certificate: put certificates in PEM there, or unset it");
        if (!options.ShouldSerialize("SSL Mode"))
            options.SslMode = SslMode.VerifyFull;
        // An authority that is not asked would be trusted in vain.
        if (options.SslMode is not (SslMode.VerifyFull or SslMode.VerifyCA))
            throw Wrong($"has SSL Mode {options.SslMode}, which looks at no certificate, and {ContainerVariables.StoreAuthority} is set: write VerifyFull (in a URI sslmode=verify-full), or leave it out");
        return certificates;
    }
}
