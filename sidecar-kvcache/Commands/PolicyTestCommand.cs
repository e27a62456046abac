using System.CommandLine;
using System.Text;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Host;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Commands;

/// <summary><c>moebius policy test</c>: what a policy says about texts. Stores nothing and prints no text.</summary>
internal static class PolicyTestCommand
{
    private const int MostMebibytes = 64;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static Command Create()
    {
        var policy = new Option<string?>("--policy") { Description = "KVPrivacyPolicy manifest. Default: the policy that holds without one.", HelpName = "FILE" };
        var output = new OutputFormat();
        var files = new Argument<string[]>("TEXTFILE") { Description = "UTF-8 text, read as a prompt from its first character on.", Arity = ArgumentArity.OneOrMore };
        var classifiers = ServeCommand.ClassifierRoot();
        var command = new Command("test", "Say what a privacy policy finds in texts, and whether they would be shared.") { policy, classifiers, output, files };
        command.SetAction((result, cancel) => RunAsync(
            result.GetValue(policy), result.GetValue(classifiers)!, output.IsJson(result), result.GetValue(files)!, result.InvocationConfiguration.Output, cancel));
        return new Command("policy", "Work with privacy policies.") { command };
    }

    internal static async Task<int> RunAsync(string? policyFile, string classifierRoot, bool json, IReadOnlyList<string> files, TextWriter output, CancellationToken cancel)
    {
        var policy = PolicyCompiler.Default;
        if (policyFile is not null)
        {
            var tiers = new TierFactory(classifierRoot, Environment.GetEnvironmentVariable(ContainerVariables.ContextCheckKey), null, TimeProvider.System);
            policy = tiers.Equip(PolicyCompiler.Load(policyFile), policyFile);
        }

        var reports = new List<TextReport>();
        foreach (var file in files)
            reports.Add(await TestAsync(policy, file, cancel));
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(reports, Manifests.Json));
            return 0;
        }

        foreach (var report in reports)
        {
            var meaning = report.Verdict == "uncertain" ? " (nothing was found and nothing clears it: the cache keeps it private)" : "";
            output.WriteLine($"{report.File}: {report.Verdict}{meaning}");
            foreach (var finding in report.Findings)
                output.WriteLine($"  tier {finding.Tier}  {finding.Kind}  {finding.Start}-{finding.End}");
        }

        return 0;
    }

    /// <summary>The file's text without its byte order mark.</summary>
    /// <exception cref="UserInputException">It cannot be read, or is not UTF-8.</exception>
    private static string ReadText(string file)
    {
        if (!Path.Exists(file) && file.StartsWith('-'))
            throw new UserInputException($"{file}: no such option, and no file of that name: see 'moebius policy test --help'");
        if (Directory.Exists(file))
            throw new UserInputException($"{file}: is a folder: name the files in it");
        try
        {
            var bytes = BoundedFile.Read(file, MostMebibytes);
            return StrictUtf8.GetString(bytes.AsSpan(bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0));
        }
        catch (DecoderFallbackException error)
        {
            throw new UserInputException($"{file}: not UTF-8 text (byte {error.Index}): convert it first", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{file}: cannot be read: {error.Message}", error);
        }
    }

    private static async Task<TextReport> TestAsync(CompiledPolicy policy, string file, CancellationToken cancel)
    {
        var text = ReadText(file);
        var utf8 = Encoding.UTF8.GetBytes(text);
        var declared = policy.DeclaredPrefixOf(utf8, out var declaredBytes) is null ? 0 : Encoding.UTF8.GetCharCount(utf8.AsSpan(0, declaredBytes));
        var reading = await TextReading.ReadAsync(policy, text, declared, cancel);
        return new TextReport(file, TextVerdicts.Decide(policy.Mode, reading.Findings, declared, text.Length, reading.IsCleared), reading.Findings);
    }
}

/// <summary>What a policy says about one file.</summary>
/// <param name="File">The file as it was named on the command line.</param>
/// <param name="Verdict">private, public or uncertain.</param>
/// <param name="Findings">In the order of their start.</param>
internal sealed record TextReport(string File, string Verdict, IReadOnlyList<Finding> Findings);
