using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>Finds a request's tenant, as the policy's <c>identity</c> says.</summary>
internal sealed class TenantIdentity
{
    private const int LongestName = 256;

    /// <summary>As many as the signature itself has.</summary>
    private const int LeastKeyBytes = 32;

    private readonly IdentitySpec _spec;
    private readonly byte[]? _key;
    private readonly TimeSpan _maxAge;
    private readonly TimeProvider _clock;

    /// <exception cref="UserInputException">The policy asks for signatures, and there is no key or a short one.</exception>
    public TenantIdentity(IdentitySpec spec, string? key, TimeProvider clock)
    {
        _spec = spec;
        _clock = clock;
        if (spec.Signature is not { } signature)
            return;
        if (string.IsNullOrEmpty(key))
            throw new UserInputException($"{ContainerVariables.TenantSignatureKey}: not set, but the policy's spec.identity.signature asks for signed tenants: set it to the value of Secret '{signature.SecretRef.Name}', key '{signature.SecretRef.Key}'");
        _key = Encoding.UTF8.GetBytes(key);
        if (_key.Length < LeastKeyBytes)
            throw new UserInputException($"{ContainerVariables.TenantSignatureKey}: has {_key.Length} bytes, must have at least {LeastKeyBytes} random ones, as what signs a tenant can be guessed offline from one signature: put a longer text into Secret '{signature.SecretRef.Name}', key '{signature.SecretRef.Key}', for example from 'openssl rand -hex 32'");
        _maxAge = Durations.Parse(signature.MaxAge, "spec.identity.signature.maxAge");
    }

    /// <summary>The tenant; for a request without one, an identity of its own.</summary>
    /// <exception cref="ApiException">The name or its signature is missing or wrong.</exception>
    public Tenant Of(IHeaderDictionary headers)
    {
        var values = headers[_spec.TenantHeader];
        if (values.Count > 1)
            throw Refused($"The header '{_spec.TenantHeader}' is given more than once.");
        var name = values.ToString();
        if (name.Length > LongestName)
            throw Refused($"The header '{_spec.TenantHeader}' is longer than {LongestName} characters.");
        if (name.Length == 0)
        {
            return _spec.Anonymous == AnonymousAccess.Isolated
                ? Tenant.Unknown()
                : throw Refused($"The header '{_spec.TenantHeader}' is missing: this server does not take anonymous requests.");
        }

        if (_spec.Signature is { } signature && !Signed(name, headers[signature.Header].ToString()))
            throw Refused($"The header '{signature.Header}' does not hold a valid signature of the tenant.");
        return new Tenant(name, false);
    }

    private bool Signed(string name, string header)
    {
        // t=UNIXSECONDS,v1=HEX over "UNIXSECONDS.TENANT".
        if (header.Split(',') is not [['t', '=', .. var time], ['v', '1', '=', .. var hex]]
            || !long.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            || hex.Length != HMACSHA256.HashSizeInBytes * 2)
            return false;
        byte[] given;
        try
        {
            given = Convert.FromHexString(hex);
        }
        catch (FormatException)
        {
            return false;
        }

        var expected = HMACSHA256.HashData(_key!, Encoding.UTF8.GetBytes($"{time}.{name}"));
        var age = Math.Abs((double)_clock.GetUtcNow().ToUnixTimeSeconds() - seconds);
        return CryptographicOperations.FixedTimeEquals(given, expected) && age <= _maxAge.TotalSeconds;
    }

    private static ApiException Refused(string message) => new(401, "authentication_error", message, null, "invalid_tenant");
}
