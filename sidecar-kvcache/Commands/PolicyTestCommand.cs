using System.CommandLine;
using System.Text;
using System.Text.Json;
using Moebius.Crds;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Commands;

/// <summary><c>moebius policy test</c>: what a policy says about texts. Stores nothing and prints no text.</summary>
internal static class PolicyTestCommand
{
    public static Command Create()
    {
        var policy = new Option<string?>("--policy") { Description = "KVPrivacyPolicy manifest. Default: the policy that holds without one.", HelpName = "FILE" };
        var output = new Option<string>("--output", "-o") { Description = "text or json.", DefaultValueFactory = _ => "text", HelpName = "FORMAT" };
        output.AcceptOnlyFromAmong("text", "json");
        var files = new Argument<string[]>("TEXTFILE") { Description = "UTF-8 text, read as a prompt from its first character on.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("test", "Say what a privacy policy finds in texts, and whether they would be shared.") { policy, output, files };
        command.SetAction(result => Run(
            result.GetValue(policy), result.GetValue(output) == "json", result.GetValue(files)!, result.InvocationConfiguration.Output));
        return new Command("policy", "Work with privacy policies.") { command };
    }

    internal static int Run(string? policyFile, bool json, IReadOnlyList<string> files, TextWriter output)
    {
        var policy = policyFile is null ? PolicyCompiler.Default : PolicyCompiler.Load(policyFile);
        var reports = files.Select(file => Test(policy, file)).ToArray();
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(reports, Manifests.Json));
            return 0;
        }

        foreach (var report in reports)
        {
            output.WriteLine($"{report.File}: {report.Verdict}");
            foreach (var finding in report.Findings)
                output.WriteLine($"  tier {finding.Tier}  {finding.Kind}  {finding.Start}-{finding.End}");
        }

        return 0;
    }

    internal static TextReport Test(CompiledPolicy policy, string file)
    {
        var text = Manifests.ReadText(file);
        var utf8 = Encoding.UTF8.GetBytes(text);
        var declared = policy.DeclaredPrefixOf(utf8, out var declaredBytes) is null ? 0 : Encoding.UTF8.GetCharCount(utf8.AsSpan(0, declaredBytes));
        var findings = policy.Detector.Scan(text);
        return new TextReport(file, TextVerdicts.Decide(policy.Mode, findings, declared, text.Length), findings);
    }
}

/// <summary>What a policy says about one file.</summary>
/// <param name="File">The file as it was named on the command line.</param>
/// <param name="Verdict">private, public or uncertain.</param>
/// <param name="Findings">In the order of their start.</param>
internal sealed record TextReport(string File, string Verdict, IReadOnlyList<Finding> Findings);
