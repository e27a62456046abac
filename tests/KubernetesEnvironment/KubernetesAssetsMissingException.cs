namespace Moebius.KubernetesEnvironment;

/// <summary>
/// A program of the control plane is not on this machine. Thrown while a fixture is created, it makes xunit skip the tests
/// that use the fixture, with this message, instead of failing them.
/// </summary>
/// <param name="message">What is missing and how to obtain it.</param>
public sealed class KubernetesAssetsMissingException(string message) : Exception(SkipToken + message)
{
    /// <summary>The prefix by which xunit.v3 knows an exception that means "skipped".</summary>
    private const string SkipToken = "$XunitDynamicSkip$";
}
