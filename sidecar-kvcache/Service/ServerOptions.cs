using System.Net;

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

    /// <summary>Health and metrics; null: none.</summary>
    public IPEndPoint? Listen { get; init; }
}
