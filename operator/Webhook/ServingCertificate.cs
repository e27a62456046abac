using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Moebius.Operator.Webhook;

/// <summary>A certificate with its key, and the authorities that clients are to trust.</summary>
/// <param name="Certificate">PEM.</param>
/// <param name="Key">PEM.</param>
/// <param name="Authorities">PEM of one or more certificates.</param>
internal sealed record ServingCertificate(string Certificate, string Key, string Authorities)
{
    /// <summary>How long a certificate that the operator makes is valid.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(90);

    /// <summary>Clocks of other machines may be behind.</summary>
    private static readonly TimeSpan Skew = TimeSpan.FromDays(1);

    /// <summary>
    /// Makes a certificate under an authority of its own, whose key is forgotten. The authorities of before stay trusted
    /// until they end, so that replicas may change over one after another.
    /// </summary>
    /// <param name="dnsNames">Names of the server.</param>
    /// <param name="before">Authorities of before, PEM; null for none.</param>
    /// <param name="now">The time.</param>
    public static ServingCertificate Create(IReadOnlyList<string> dnsNames, string? before, DateTimeOffset now)
    {
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authorityRequest = new CertificateRequest($"CN=moebius-webhook-ca-{now.ToUnixTimeSeconds()}", authorityKey, HashAlgorithmName.SHA256);
        authorityRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        authorityRequest.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        var authorityId = new X509SubjectKeyIdentifierExtension(authorityRequest.PublicKey, false);
        authorityRequest.CertificateExtensions.Add(authorityId);
        using var authority = authorityRequest.CreateSelfSigned(now - Skew, now + Lifetime);

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={dnsNames[0][..Math.Min(64, dnsNames[0].Length)]}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        foreach (var name in dnsNames)
        {
            if (System.Net.IPAddress.TryParse(name, out var address))
                names.AddIpAddress(address);
            else
                names.AddDnsName(name);
        }

        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromSubjectKeyIdentifier(authorityId));
        using var certificate = request.Create(authority, now - Skew, now + Lifetime, RandomNumberGenerator.GetBytes(16));
        return new ServingCertificate(certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem(), Bundle(authority.ExportCertificatePem(), before, now));
    }

    /// <summary>
    /// Whether it is time for another one: two thirds of its life are over, it is for other names, it cannot be read, or
    /// its life has not begun, because the clock that it was made by was ahead.
    /// </summary>
    public bool IsDue(IReadOnlyList<string> dnsNames, DateTimeOffset now)
    {
        try
        {
            using var certificate = Load();
            var third = (certificate.NotAfter - certificate.NotBefore) / 3;
            return now.UtcDateTime > certificate.NotAfter.ToUniversalTime() - third || !IsGood(certificate, dnsNames, now);
        }
        catch (CryptographicException)
        {
            return true;
        }
    }

    /// <summary>Whether clients that trust its authority believe a certificate at a time.</summary>
    public static bool IsGood(X509Certificate2 certificate, IReadOnlyList<string> dnsNames, DateTimeOffset now) =>
        now.UtcDateTime >= certificate.NotBefore.ToUniversalTime() && now.UtcDateTime <= certificate.NotAfter.ToUniversalTime() && dnsNames.All(name => certificate.MatchesHostname(name));

    /// <summary>For the server.</summary>
    /// <exception cref="CryptographicException">Certificate and key cannot be read or do not belong together.</exception>
    public X509Certificate2 Load()
    {
        try
        {
            return X509Certificate2.CreateFromPem(Certificate, Key);
        }
        catch (ArgumentException error)
        {
            // Two files that are being replaced are read one after the other.
            throw new CryptographicException("the key is not the certificate's", error);
        }
    }

    private static string Bundle(string first, string? before, DateTimeOffset now)
    {
        var all = new X509Certificate2Collection();
        try
        {
            all.ImportFromPem(before ?? "");
        }
        catch (CryptographicException)
        {
            // Nothing that anybody could trust.
        }

        var bundle = new StringBuilder(first).Append('\n');
        foreach (var old in all.Where(one => one.NotAfter.ToUniversalTime() > now.UtcDateTime).OrderByDescending(one => one.NotAfter).Take(3))
            bundle.Append(old.ExportCertificatePem()).Append('\n');
        return bundle.ToString();
    }
}
