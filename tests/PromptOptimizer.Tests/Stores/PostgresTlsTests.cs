using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>A server whose certificate an authority of its own has signed, as those of database operators.</summary>
[Trait("Category", "Component")]
public sealed class PostgresTlsTests
{
    [Fact]
    public async Task The_authority_that_is_given_is_the_one_that_is_asked()
    {
        var (authority, certificate, key) = Issue("127.0.0.1");
        await using var server = await PostgresServer.StartAsync((certificate, key));
        var connection = server.ConnectionString("postgres");
        using (var database = new PostgresDatabase(StoreConnection.Parse(connection, authority)))
            Assert.Empty(new JobStore(database, TimeProvider.System).List(null, null, null, 1));
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, authority);
            new PostgresDatabase(StoreConnection.Parse($"{connection};SSL Mode=VerifyFull;Root Certificate={file}", null)).Dispose();
        }
        finally
        {
            File.Delete(file);
        }

        Refused(connection, Issue("127.0.0.1").Authority);
        Refused($"{connection};SSL Mode=VerifyFull", null);

        static void Refused(string connection, string? authority) => Assert.StartsWith(
            "MOEBIUS_STORE_CONNECTION: no TLS with the server: its certificate is not trusted or not for this host",
            Assert.Throws<UserInputException>(() => new PostgresDatabase(StoreConnection.Parse(connection, authority))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_of_another_host_is_refused()
    {
        var (authority, certificate, key) = Issue("127.0.0.2");
        await using var server = await PostgresServer.StartAsync((certificate, key));
        Assert.Contains("not for this host", Assert.Throws<UserInputException>(() => new PostgresDatabase(StoreConnection.Parse(server.ConnectionString("postgres"), authority))).Message, StringComparison.Ordinal);
        new PostgresDatabase(StoreConnection.Parse($"{server.ConnectionString("postgres")};SSL Mode=VerifyCA", authority)).Dispose();
    }

    private static (string Authority, string Certificate, string Key) Issue(string address)
    {
        var (from, to) = (DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddHours(1));
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN=authority {Guid.NewGuid()}", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        using var authority = request.CreateSelfSigned(from, to);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var server = new CertificateRequest("CN=database", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Parse(address));
        server.CertificateExtensions.Add(names.Build());
        using var certificate = server.Create(authority, from, to.AddMinutes(-5), RandomNumberGenerator.GetBytes(8));
        return (authority.ExportCertificatePem(), certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }
}
