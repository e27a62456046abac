using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;
using Npgsql;

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>Connection strings, as Secrets hold them. No message may quote a piece of one.</summary>
public sealed class StoreConnectionTests
{
    [Theory]
    [InlineData("postgresql://app:pw@db.shop.svc:5433/prompts", "db.shop.svc", 5433, "prompts", "app", "pw")]
    [InlineData("postgres://app:p%40ss%2Fw%3Ard%25@db/prompts", "db", 5432, "prompts", "app", "p@ss/w:rd%")]
    [InlineData("postgresql://app:p@ss:w@db:1/prompts\n", "db", 1, "prompts", "app", "p@ss:w")]
    [InlineData("postgresql://app:p/w@db:1/prompts", "db", 1, "prompts", "app", "p/w")]
    [InlineData("postgresql://app@[::1]:5433/prompts", "[::1]", 5433, "prompts", "app", null)]
    [InlineData("postgresql:///prompts?host=db&port=5433&user=app&password=p%26w", "db", 5433, "prompts", "app", "p&w")]
    [InlineData("Host=db;Port=5433;Username=app;Password='a;b=c';Database=prompts", "db", 5433, "prompts", "app", "a;b=c")]
    [InlineData("server=db;user id=app;pwd=x;db=prompts", "db", 5432, "prompts", "app", "x")]
    public void Both_forms_are_read(string text, string host, int port, string database, string user, string? password)
    {
        var options = StoreConnection.Parse(text, null).Options;
        Assert.Equal((host, port, database, user, password), (options.Host, options.Port, options.Database, options.Username, options.Password));
        Assert.Equal(("moebius-prompt-optimizer", 20, 10, false, false), (options.ApplicationName, options.MaxPoolSize, options.CommandTimeout, options.IncludeErrorDetail, options.LogParameters));
    }

    [Fact]
    public void What_a_string_says_itself_stays()
    {
        var uri = StoreConnection.Parse("postgresql://app:pw@a:1,b/prompts?sslmode=verify-ca&sslrootcert=/etc/ca.crt&connect_timeout=7&application_name=mine&target_session_attrs=read-write", null).Options;
        Assert.Equal(("a:1,b", SslMode.VerifyCA, "/etc/ca.crt", 7, "mine", "read-write"), (uri.Host, uri.SslMode, uri.RootCertificate, uri.Timeout, uri.ApplicationName, uri.TargetSessionAttributes));
        Assert.Equal("primary", StoreConnection.Parse("Host=a,b;Username=app;Database=prompts", null).Options.TargetSessionAttributes);
        Assert.Equal(5, StoreConnection.Parse("Host=a;Username=app;Database=prompts;Maximum Pool Size=5", null).Options.MaxPoolSize);
    }

    [Theory]
    [InlineData("", "is empty, and the store is PostgreSQL")]
    [InlineData("jdbc:postgresql://db/prompts?user=app&password=hunter2", "is another kind of URI")]
    [InlineData("mysql://app:hunter2@db/prompts", "is another kind of URI")]
    [InlineData("host=db user=app password=hunter2 dbname=prompts", "has blanks between its words, which is psql's form")]
    [InlineData("hunter2", "is no connection string")]
    [InlineData("Username=app;Password=hunter2;Database=prompts", "names no host")]
    [InlineData("Host=db;Password=hunter2;Database=prompts", "names no user")]
    [InlineData("Host=db;Username=app;Password=hunter2", "names no database")]
    [InlineData("postgresql://:hunter2@db/prompts", "names no user")]
    [InlineData("postgresql://app:hunter2@db", "names no database")]
    [InlineData("Host=db;Username=app;Password=hun;ter2=x;Database=prompts", "its part 4 is not one that Npgsql knows")]
    [InlineData("Host=db;Username=app;Port=hunter2;Database=prompts", "'port' has a value that it cannot have")]
    [InlineData("Host=db;Username=app;SSL Mode=hunter2;Database=prompts", "'ssl mode' has a value that it cannot have")]
    [InlineData("postgresql://app:hunter2@db:port/prompts", "its port is not a whole number from 1 to 65535")]
    [InlineData("postgresql://app:pw?hunter2=1@db:5432/prompts", "its port is not a whole number from 1 to 65535")]
    [InlineData("postgresql://app:pw@db/prompts?keepalives=hunter2", "its parameter 1 is none of those supported here: host, port")]
    [InlineData("postgresql://app:hunter2@[::1/prompts", "its host has a '[' without a ']'")]
    [InlineData("postgresql://app:hunter2@db/prompts?target_session_attrs=read-write", "asks for a kind of server (Target Session Attributes, target_session_attrs), which takes several hosts")]
    [InlineData("postgresql://app:hunter2@db/prompts?sslmode=require&sslrootcert=/hunter2.crt", "has SSL Mode Require, which looks at no certificate, and names a Root Certificate: write VerifyFull")]
    public void What_cannot_be_honoured_is_told_without_any_of_it(string text, string problem)
    {
        var message = Assert.Throws<UserInputException>(() => StoreConnection.Parse(text, null)).Message;
        Assert.StartsWith($"MOEBIUS_STORE_CONNECTION: {problem}", message, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter", message, StringComparison.Ordinal);
        Assert.DoesNotContain("ter2", message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void What_the_driver_refuses_of_the_whole_is_told()
    {
        var connection = StoreConnection.Parse("Host=db;Username=app;Password=hunter2;Database=prompts;Minimum Pool Size=30", null);
        var message = Assert.Throws<UserInputException>(() => connection.CreateSource()).Message;
        Assert.StartsWith("MOEBIUS_STORE_CONNECTION: ", message, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_hosts_that_are_away_or_no_primary_are_waited_for_and_their_words_are_not_told()
    {
        var starting = new PostgresException("the database system is starting up", "FATAL", "FATAL", "57P03");
        var refused = new PostgresException("password authentication failed for user \"app\"", "FATAL", "FATAL", "28P01");
        var both = new NpgsqlException("Unable to connect to a suitable host.", new AggregateException(refused, starting));
        Assert.True(StoreFaults.MayPass(both));
        Assert.DoesNotContain("app", StoreFaults.Words(both), StringComparison.Ordinal);
        Assert.False(StoreFaults.MayPass(new NpgsqlException("Unable to connect to a suitable host.", new AggregateException(refused))));
        Assert.True(StoreFaults.MayPass(new NpgsqlException("No suitable host was found.")));
    }

    [Fact]
    public void A_root_certificate_is_asked_for_the_server()
    {
        Assert.Equal(SslMode.VerifyFull, StoreConnection.Parse("postgresql://app:pw@db/prompts?sslrootcert=/etc/ca.crt", null).Options.SslMode);
        Assert.Contains("leave one of them out", Assert.Throws<UserInputException>(() => StoreConnection.Parse("postgresql://app:pw@db/prompts?sslmode=verify-full&sslrootcert=/etc/ca.crt", "-----BEGIN CERTIFICATE-----")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_authority_is_asked_for_the_server_or_refused()
    {
        using var key = RSA.Create(2048);
        using var certificate = new CertificateRequest("CN=ca", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSelfSigned(DateTimeOffset.UtcNow, DateTimeOffset.UtcNow.AddDays(1));
        var pem = certificate.ExportCertificatePem();
        Assert.Equal(SslMode.VerifyFull, StoreConnection.Parse("postgresql://app:hunter2@db/prompts", pem).Options.SslMode);
        Assert.Equal(SslMode.VerifyCA, StoreConnection.Parse("postgresql://app:hunter2@db/prompts?sslmode=verify-ca", pem).Options.SslMode);
        Refused("postgresql://app:hunter2@db/prompts?sslmode=require", pem, "MOEBIUS_STORE_CONNECTION: has SSL Mode Require, which looks at no certificate, and MOEBIUS_STORE_CA is set: write VerifyFull");
        Refused("postgresql://app:hunter2@db/prompts", "hunter2", "MOEBIUS_STORE_CA: holds no certificate: put certificates in PEM there");
        Refused("postgresql://app:hunter2@db/prompts", "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----", "MOEBIUS_STORE_CA: holds a certificate that cannot be read");

        static void Refused(string text, string authority, string problem)
        {
            var message = Assert.Throws<UserInputException>(() => StoreConnection.Parse(text, authority)).Message;
            Assert.StartsWith(problem, message, StringComparison.Ordinal);
            Assert.DoesNotContain("hunter2", message, StringComparison.Ordinal);
        }
    }
}
