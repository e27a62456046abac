using System.Net;
using Moebius.Crds.Host;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Service;

/// <summary>How a server is started.</summary>
internal sealed record ServerOptions
{
    /// <summary>Unix socket, absolute.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Shared-memory file, absolute.</summary>
    public required string ArenaPath { get; init; }

    public required long ArenaBytes { get; init; }

    /// <summary>Block size that engines must use; null: any.</summary>
    public int? BlockTokens { get; init; }

    public string? PolicyPath { get; init; }

    /// <summary>Folder of the SSD tier, absolute; null: no such tier.</summary>
    public string? SsdPath { get; init; }

    /// <summary>What writes the SSD tier; null: the system.</summary>
    public DiskIO? Disk { get; init; }

    /// <summary>Bytes that the SSD tier may use.</summary>
    public long SsdBytes { get; init; }

    /// <summary>The tier between pods; null: none.</summary>
    public SharedTierOptions? Shared { get; init; }

    /// <summary>File with the secret that tenants' keys are derived from; null: private blocks do not leave the arena.</summary>
    public string? EncryptionKeyPath { get; init; }

    /// <summary>Folder in which a policy's ONNX classifier is looked for.</summary>
    public string ClassifierRoot { get; init; } = Detection.TierFactory.DefaultClassifierRoot;

    /// <summary>Bearer token for a policy's context check; null: none.</summary>
    public string? ContextKey { get; init; }

    /// <summary>Nothing is logged.</summary>
    public bool IsSilent { get; init; }

    /// <summary>How log lines are written.</summary>
    public LogFormat LogFormat { get; init; }

    /// <summary>Health and metrics; null: none.</summary>
    public IPEndPoint? Listen { get; init; }
}
