using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Moebius.KubernetesEnvironment;

/// <summary>A key and its certificate, both as PEM.</summary>
internal sealed record PemPair(string Certificate, string Key);

/// <summary>
/// The authority of one test server: it signs the servers' certificates and those of the users. Keys are ECDSA P-256, made
/// anew for every server and gone with it.
/// </summary>
internal sealed class CertificateAuthority : IDisposable
{
    private static readonly Oid ServerAuthentication = new("1.3.6.1.5.5.7.3.1");
    private static readonly Oid ClientAuthentication = new("1.3.6.1.5.5.7.3.2");

    private readonly X509Certificate2 _authority;

    public CertificateAuthority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=moebius-test-ca", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _authority = request.CreateSelfSigned(NotBefore, NotAfter);
    }

    public string CertificatePem => _authority.ExportCertificatePem();

    // An hour of slack for clocks that differ; ten years because nobody should meet the end of a test server.
    private static DateTimeOffset NotBefore => DateTimeOffset.UtcNow.AddHours(-1);

    private static DateTimeOffset NotAfter => DateTimeOffset.UtcNow.AddYears(10);

    /// <summary>A server certificate for the loopback address and the given names and addresses.</summary>
    public PemPair IssueServer(string commonName, params string[] names)
    {
        var alternatives = new SubjectAlternativeNameBuilder();
        alternatives.AddIpAddress(IPAddress.Loopback);
        alternatives.AddDnsName("localhost");
        foreach (var name in names)
        {
            if (IPAddress.TryParse(name, out var address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }

        return Issue(commonName, [], ServerAuthentication, alternatives.Build());
    }

    /// <summary>A client certificate: Kubernetes reads the user from the common name and the groups from the organizations.</summary>
    public PemPair IssueClient(string user, params string[] groups) => Issue(user, groups, ClientAuthentication, null);

    public void Dispose() => _authority.Dispose();

    private PemPair Issue(string commonName, string[] organizations, Oid purpose, X509Extension? alternatives)
    {
        var subject = new X500DistinguishedNameBuilder();
        foreach (var organization in organizations)
            subject.AddOrganizationName(organization);
        subject.AddCommonName(commonName);

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([purpose], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_authority, true, false));
        if (alternatives is not null)
            request.CertificateExtensions.Add(alternatives);

        using var certificate = request.Create(_authority, _authority.NotBefore, _authority.NotAfter, RandomNumberGenerator.GetBytes(16));
        return new PemPair(certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }
}
