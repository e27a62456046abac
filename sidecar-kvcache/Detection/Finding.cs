namespace Moebius.KvCache.Detection;

/// <summary>A place in a text that a tier calls private.</summary>
/// <param name="Tier">1: rules; 2: classifier; 3: context check.</param>
/// <param name="Kind">Name of the built-in detector, of the policy's own rule, or of what a classifier takes it for.</param>
/// <param name="Start">First character (UTF-16), inclusive.</param>
/// <param name="End">Last character, exclusive.</param>
internal readonly record struct Finding(int Tier, string Kind, int Start, int End);
