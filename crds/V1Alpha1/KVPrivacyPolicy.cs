using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>
/// KVPrivacyPolicy says which cached prompt prefixes may be shared between tenants, how tenants are told apart, and
/// what is done about probing. Running sidecars take a change up without a restart.
/// </summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KindName, PluralName = "kvprivacypolicies")]
[Resource("kvprivacypolicies", "kvp", MaxNameLength = 63)]
[PrinterColumn("Mode", ".spec.mode")]
[PrinterColumn("Ready", ".status.conditions[?(@.type=='Ready')].status")]
[PrinterColumn("Users", ".status.userCount", "integer")]
[PrinterColumn("Reason", ".status.conditions[?(@.type=='Ready')].reason", Priority = 1)]
[PrinterColumn("Age", ".metadata.creationTimestamp", "date")]
public sealed class KVPrivacyPolicy : CustomResource<KVPrivacyPolicySpec, KVPrivacyPolicyStatus>
{
    /// <summary>The kind's name.</summary>
    public const string KindName = "KVPrivacyPolicy";

    /// <summary>Creates an empty resource.</summary>
    public KVPrivacyPolicy() => Kind = KindName;
}

/// <summary>What may be shared, between whom, and how that is watched (SafeKV, arXiv 2508.08438).</summary>
[CelRule("!has(self.contextCheck) || self.classifier.type != 'Disabled'", "contextCheck judges what the classifier leaves open: set classifier.type to BuiltIn or Onnx")]
public sealed class KVPrivacyPolicySpec
{
    /// <summary>How prefixes are shared.</summary>
    public SharingMode Mode { get; set; } = SharingMode.SafeKV;

    /// <summary>How a request's tenant is found.</summary>
    public IdentitySpec Identity { get; set; } = new();

    /// <summary>
    /// Texts, such as system prompts, that are public by declaration. Matched from the start of a prompt. They may stay
    /// when mode is Isolate or Share, where they have no effect.
    /// </summary>
    [Size(0, 64)]
    [ListMap("name")]
    public List<PublicPrefix>? PublicPrefixes { get; set; }

    /// <summary>Tier 1: patterns that make text private.</summary>
    public RuleSpec Rules { get; set; } = new();

    /// <summary>Tier 2: a classifier of what the rules let through.</summary>
    public ClassifierSpec Classifier { get; set; } = new();

    /// <summary>Tier 3: a language model's opinion on what the classifier leaves open.</summary>
    public ContextCheckSpec? ContextCheck { get; set; }

    /// <summary>When cleared blocks become public.</summary>
    public PromotionSpec Promotion { get; set; } = new();

    /// <summary>Watching public entries for probing.</summary>
    public MonitorSpec Monitor { get; set; } = new();

    /// <summary>Encryption of private blocks outside the arena.</summary>
    public EncryptionSpec? Encryption { get; set; }

    /// <summary>How long blocks are kept, and how many per tenant.</summary>
    public RetentionSpec Retention { get; set; } = new();
}

/// <summary>How prefixes are shared.</summary>
public enum SharingMode
{
    /// <summary>Private until cleared; cleared prefixes are shared by all tenants.</summary>
    SafeKV,

    /// <summary>Never shared: each tenant has its own cache.</summary>
    Isolate,

    /// <summary>Always shared. Leaks whether somebody asked the same before; for comparison and single-tenant use.</summary>
    Share,
}

/// <summary>How a request's tenant is found.</summary>
[CelRule("!has(self.signature) || self.signature.header.lowerAscii() != self.tenantHeader.lowerAscii()", "signature.header must be another one than tenantHeader")]
public sealed class IdentitySpec
{
    /// <summary>HTTP header, set by a trusted gateway, that names the tenant.</summary>
    [Size(1, 128)]
    [Pattern(Patterns.Header)]
    [CelRule(FreeHeader.Rule, FreeHeader.Message)]
    public string TenantHeader { get; set; } = "X-Moebius-Tenant";

    /// <summary>Proof that the gateway set the header. A request whose proof is missing or wrong is refused.</summary>
    public SignatureSpec? Signature { get; set; }

    /// <summary>What happens to a request without a tenant.</summary>
    public AnonymousAccess Anonymous { get; set; } = AnonymousAccess.Isolated;
}

/// <summary>
/// HMAC-SHA-256 by the gateway. The header holds <c>t=UNIXSECONDS,v1=HEX</c>, where HEX is the code over
/// <c>UNIXSECONDS.TENANT</c>.
/// </summary>
public sealed class SignatureSpec
{
    /// <summary>HTTP header that carries the signature.</summary>
    [Size(1, 128)]
    [Pattern(Patterns.Header)]
    [CelRule(FreeHeader.Rule, FreeHeader.Message)]
    public string Header { get; set; } = "X-Moebius-Signature";

    /// <summary>The shared key, 32 random bytes or more. A signature is good at every deployment that has it.</summary>
    public required SecretKeyReference SecretRef { get; set; }

    /// <summary>How far the signature's time may lie from now. Until then whoever sees a signed header can send it again.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string MaxAge { get; set; } = "5m";
}

/// <summary>Requests without a tenant.</summary>
public enum AnonymousAccess
{
    /// <summary>Each request is its own tenant.</summary>
    Isolated,

    /// <summary>Refused with 401.</summary>
    Refused,
}

/// <summary>A text that is public by declaration.</summary>
[CelRule("has(self.text) != has(self.configMapRef)", "exactly one of text and configMapRef must be set")]
public sealed class PublicPrefix
{
    /// <summary>A name for status and logs.</summary>
    [Size(1, 63)]
    [Pattern(Patterns.Label)]
    public required string Name { get; set; }

    /// <summary>The text exactly as the model reads it: after the chat template.</summary>
    [Size(1, 65536)]
    public string? Text { get; set; }

    /// <summary>A ConfigMap key that holds the text.</summary>
    public ConfigMapKeyReference? ConfigMapRef { get; set; }
}

/// <summary>One key of a ConfigMap in the same namespace.</summary>
public sealed class ConfigMapKeyReference
{
    /// <summary>The ConfigMap's name.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.ObjectName)]
    public required string Name { get; set; }

    /// <summary>The key in its data.</summary>
    [Size(1, 253)]
    [Pattern(Patterns.DataKey)]
    public required string Key { get; set; }
}

/// <summary>Tier 1: patterns that make text private.</summary>
public sealed class RuleSpec
{
    /// <summary>Built-in detectors to leave out.</summary>
    [Size(0, 64)]
    [ListSet]
    public List<SecretKind>? Disabled { get; set; }

    /// <summary>Further expressions.</summary>
    [Size(0, 128)]
    [ListMap("name")]
    public List<CustomRule>? Custom { get; set; }
}

/// <summary>What the built-in rules detect.</summary>
public enum SecretKind
{
    /// <summary>E-mail address.</summary>
    Email,

    /// <summary>Telephone number, E.164 and national forms.</summary>
    Phone,

    /// <summary>Payment card number with a valid check digit.</summary>
    CreditCard,

    /// <summary>International bank account number with a valid checksum.</summary>
    Iban,

    /// <summary>United States social security number.</summary>
    UsSsn,

    /// <summary>United Kingdom national insurance number.</summary>
    UkNino,

    /// <summary>Passport number.</summary>
    Passport,

    /// <summary>Driving licence number.</summary>
    DrivingLicence,

    /// <summary>IPv4, IPv6 or MAC address.</summary>
    NetworkAddress,

    /// <summary>Street address.</summary>
    StreetAddress,

    /// <summary>Date of birth.</summary>
    DateOfBirth,

    /// <summary>Latitude and longitude.</summary>
    GpsPosition,

    /// <summary>Cryptocurrency wallet.</summary>
    CryptoWallet,

    /// <summary>API key or access token.</summary>
    ApiKey,

    /// <summary>JSON web token.</summary>
    Jwt,

    /// <summary>Private key in PEM form.</summary>
    PrivateKey,

    /// <summary>Bearer or basic authorization header.</summary>
    AuthorizationHeader,

    /// <summary>Connection string or URL with a password.</summary>
    ConnectionString,

    /// <summary>Assignment of a password or secret.</summary>
    Password,

    /// <summary>Medical record number.</summary>
    MedicalRecord,

    /// <summary>Number that a state gives to a person: identity, tax and social insurance, of other countries than the above.</summary>
    NationalId,

    /// <summary>Licence plate that a word announces.</summary>
    LicencePlate,
}

/// <summary>An expression of the policy's own.</summary>
public sealed class CustomRule
{
    /// <summary>A name for findings.</summary>
    [Size(1, 63)]
    [Pattern(Patterns.Label)]
    public required string Name { get; set; }

    /// <summary>
    /// A .NET regular expression, matched in linear time: no back-references, look-around or atomic groups.
    /// </summary>
    [Size(1, 1024)]
    public required string Pattern { get; set; }

    /// <summary>Ignore case. Absent: no.</summary>
    public bool? IgnoreCase { get; set; }
}

/// <summary>When cleared blocks become public.</summary>
public sealed class PromotionSpec
{
    /// <summary>Blocks classified in one batch.</summary>
    [Range(1, 65536)]
    public int BatchSize { get; set; } = 64;

    /// <summary>Longest wait before a batch that is not full is classified.</summary>
    [Duration]
    [CelRule(TimerDuration.Rule, TimerDuration.Message)]
    public string MaxDelay { get; set; } = "100ms";
}

/// <summary>Watching public entries for probing.</summary>
public sealed class MonitorSpec
{
    /// <summary>Watch at all.</summary>
    public bool Enabled { get; set; } = true;

    /// <summary>Length of a window. The previous one is kept.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string Window { get; set; } = "60s";

    /// <summary>Hits in a window below which nothing is judged.</summary>
    [Range(1, 1000000)]
    public int MinHits { get; set; } = 20;

    /// <summary>Hits of this window over those of the previous one, in percent, that count as a jump.</summary>
    [Range(100, 100000)]
    public int HitJumpPercent { get; set; } = 300;

    /// <summary>Distinct tenants over hits, in percent, below which a jump is probing.</summary>
    [Range(0, 100)]
    public int ReuseDiversityPercent { get; set; } = 20;

    /// <summary>Make a probed entry private again.</summary>
    public bool Demote { get; set; } = true;

    /// <summary>How long the suspect sees only its own entries. 0s: never.</summary>
    [Duration]
    public string IsolateFor { get; set; } = "10m";
}

/// <summary>Encryption of private blocks outside the arena.</summary>
public sealed class EncryptionSpec
{
    /// <summary>The master key (32 bytes or more); tenants' keys are derived from it.</summary>
    public required SecretKeyReference SecretRef { get; set; }

    /// <summary>Let private blocks, encrypted, into the tier shared between pods.</summary>
    public bool SharePrivate { get; set; }
}

/// <summary>How long blocks are kept, and how many per tenant.</summary>
public sealed class RetentionSpec
{
    /// <summary>Private blocks unused for this long are dropped.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string PrivateIdle { get; set; } = "1h";

    /// <summary>Public blocks unused for this long are dropped.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string PublicIdle { get; set; } = "24h";

    /// <summary>Largest share of the blocks that one tenant's private ones may take.</summary>
    [Range(1, 100)]
    public int MaxTenantPercent { get; set; } = 50;
}

/// <summary>What is, as the operator last saw it.</summary>
public sealed class KVPrivacyPolicyStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Ready, Degraded.</summary>
    [ListMap("type")]
    public List<V1Condition>? Conditions { get; set; }

    /// <summary>MoEDeployments that refer to this policy, sorted, at most 100 of them.</summary>
    [Size(0, 100)]
    public List<PolicyUser>? Users { get; set; }

    /// <summary>How many MoEDeployments refer to this policy.</summary>
    public int? UserCount { get; set; }
}

/// <summary>A MoEDeployment that refers to a policy.</summary>
public sealed class PolicyUser
{
    /// <summary>The MoEDeployment's name.</summary>
    public required string Name { get; set; }

    /// <summary>Oldest generation of the policy that one of its sidecars runs, when known.</summary>
    public long? Generation { get; set; }
}
