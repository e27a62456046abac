using System.CommandLine;
using System.Globalization;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Models;
using Moebius.Inference.Server;

namespace Moebius.Inference.Fetch;

/// <summary><c>moebius model</c>: bring a model here, and say how much memory it takes.</summary>
public static class ModelCommands
{

    /// <summary>The commands to add to <c>moebius</c>.</summary>
    public static IEnumerable<Command> Create()
    {
        yield return new Command("model", "Brings models here and measures them.") { Fetch(), Size() };
    }

    private static Command Fetch()
    {
        var to = new Option<string>("--to") { Description = "Directory to make; it appears when everything in it is whole.", HelpName = "DIR", Required = true };
        var s3 = new Option<string?>("--s3") { Description = "Bucket and prefix. Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.", HelpName = "s3://BUCKET/PREFIX" };
        var region = new Option<string?>("--region") { Description = "Region of the bucket. Default: us-east-1.", HelpName = "NAME" };
        var url = new Option<string?>("--http") { Description = "URL of an archive (tar, tar.gz, zip); needs --sha256.", HelpName = "URL" };
        var sha256 = new Option<string?>("--sha256") { Description = "SHA-256 of the archive.", HelpName = "HEX" };
        var hub = new Option<string?>("--hugging-face") { Description = "Repository of the Hugging Face Hub. Token: HF_TOKEN.", HelpName = "OWNER/NAME" };
        var revision = new Option<string>("--revision") { Description = "Commit, tag or branch.", HelpName = "NAME", DefaultValueFactory = _ => "main" };
        var endpoint = new Option<string?>("--endpoint") { Description = "Base URL of a store that is not AWS, or of a mirror of the Hub.", HelpName = "URL" };
        var pack = new Option<bool>("--pack") { Description = "Also pack the experts into one aligned file, as 'moebius pack' does." };
        var quantize = new Option<string?>("--quantize") { Description = "Format of the experts in memory, for --pack and --report: none, int8 or int4. Default: none.", HelpName = "FORMAT" };
        var report = Report();
        var command = new Command("fetch", "Download a model, checked, into a directory that several pods may share.") { to, s3, region, url, sha256, hub, revision, endpoint, pack, quantize, report };
        (Option Option, Option[] Of)[] parts = [(region, [s3]), (sha256, [url]), (revision, [hub]), (endpoint, [s3, hub]), (quantize, [pack, report])];
        command.SetAction(async (parsed, stop) =>
        {
            bool Given(Option option) => parsed.GetResult(option) is { Implicit: false };
            foreach (var (option, of) in parts)
            {
                // A checksum, say, that is not looked at is worse than none.
                if (Given(option) && !of.Any(Given))
                    throw new UserInputException($"{option.Name}: goes with {string.Join(" or ", of.Select(other => other.Name))} only: leave it out");
            }

            using var http = StoreClient.Create(TimeProvider.System);
            var origin = (parsed.GetValue(s3), parsed.GetValue(url), parsed.GetValue(hub)) switch
            {
                ({ } bucket, null, null) => new S3Origin(http, bucket, parsed.GetValue(endpoint), parsed.GetValue(region), Credentials(), TimeProvider.System),
                (null, { } archive, null) => new ArchiveOrigin(archive, parsed.GetValue(sha256) ?? throw new UserInputException("--sha256: missing: an archive is only taken with its checksum")),
                (null, null, { } repository) => (IModelOrigin)new HubOrigin(http, parsed.GetValue(endpoint) ?? "https://huggingface.co", repository, parsed.GetValue(revision)!, Variable(ContainerVariables.HubToken)),
                _ => throw new UserInputException("--s3, --http, --hugging-face: give exactly one of them"),
            };
            var directory = parsed.GetValue(to)!;
            var format = parsed.GetValue(quantize) is { } name ? ExpertQuantizations.Parse(name) : ExpertQuantization.None;
            try
            {
                await new ModelFetcher(http, TimeProvider.System, parsed.InvocationConfiguration.Output.WriteLine).FetchAsync(origin, directory, files => Architectures.Describe(ModelConfig.Read(files)), parsed.GetValue(pack) ? files => ModelSizer.Pack(files, format, stop) : null, stop).ConfigureAwait(false);
            }
            catch (UserInputException error)
            {
                throw new UserInputException(error.Message + ModelFetcher.Left(directory), error);
            }
            catch (Exception error) when (error is HttpRequestException or IOException or UnauthorizedAccessException)
            {
                // Trying again may help: not bad input.
                await parsed.InvocationConfiguration.Error.WriteLineAsync($"moebius: {error.Message.ReplaceLineEndings(" ")}{ModelFetcher.Left(directory)}").ConfigureAwait(false);
                return 1;
            }

            WriteReport(parsed.GetValue(report), ModelSizer.Measure(directory, format));
            return 0;
        });
        return command;
    }

    private static Command Size()
    {
        var model = new Option<string>("--model") { Description = "Directory of the model, in Hub layout.", HelpName = "DIR", Required = true };
        var config = new Option<string?>("--config") { Description = "Configuration file of serve: its budgets are held against the model.", HelpName = "FILE" };
        var arena = new Option<string>("--arena-size") { Description = "Size of the prefix cache's arena.", HelpName = "QUANTITY", DefaultValueFactory = _ => "0" };
        var limit = new Option<string?>("--memory-limit") { Description = $"Memory that may be used. Default: {ContainerVariables.MemoryLimit}, or no limit.", HelpName = "QUANTITY" };
        var report = Report();
        var command = new Command("size", "Say how much memory a model takes, and refuse it when it does not fit.") { model, config, arena, limit, report };
        command.SetAction(parsed =>
        {
            var serve = parsed.GetValue(config) is { } file ? ServeOptions.Configured(file) : new InferenceConfig { ModelName = "model" };
            var facts = ModelSizer.Measure(parsed.GetValue(model)!, serve.Experts.Quantization);
            var budget = new MemoryBudget(
                serve.Experts.FastMemory is { } memory ? Quantities.Bytes(memory, "experts.fastMemory") : null,
                Quantities.Bytes(serve.Serving.KVMemory, "serving.kvMemory"),
                Quantities.ParseBytes(parsed.GetValue(arena)!, "--arena-size"),
                (parsed.GetValue(limit) ?? Variable(ContainerVariables.MemoryLimit)) is { } text ? Quantities.ParseBytes(text, "--memory-limit") : null,
                serve.Serving.MaxBatchTokens,
                serve.BlockTokens,
                MemorySizing.LayersAhead(serve.Experts.Prefetch));
            var need = MemorySizing.Plan(facts, budget);
            WriteReport(parsed.GetValue(report), facts, need.Refusal);
            var output = parsed.InvocationConfiguration.Output;
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"dense weights     {Quantities.Format(facts.DenseBytes)}"));
            output.WriteLine($"experts           {Quantities.Format(facts.ExpertBytes)}, at least {Quantities.Format(facts.SmallestExpertBytes)} resident");
            output.WriteLine($"keys and values   {Quantities.Format(facts.KVBytesPerToken)} per token");
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"a step            {Quantities.Format(facts.StepBytesPerToken)} per token, at most {serve.Serving.MaxBatchTokens} tokens"));
            if (budget.LayersAhead is { } ahead && facts.Predictor is { } predictor)
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"predictor         {Quantities.Format(predictor.BytesFor(ahead))} with a horizon of {Math.Min(ahead, predictor.Layers)}, while not all experts are resident"));
            output.WriteLine($"needed            {Quantities.Format(need.Needed)}");
            if (need.ProposedFastMemory is { } proposal)
                output.WriteLine($"experts may have  {Quantities.Format(proposal)}");
            return need.Refusal is { } refusal ? throw new UserInputException(refusal) : 0;
        });
        return command;
    }

    private static Option<string?> Report() => new("--report") { Description = "Existing file, such as a pod's termination log, to write the sizes to as JSON. One that does not exist is left alone.", HelpName = "FILE" };

    // Only a kubelet makes the file; outside a pod there is nobody to report to.
    private static void WriteReport(string? file, ModelFacts facts, string? refusal = null)
    {
        if (file is not null && File.Exists(file))
            File.WriteAllText(file, refusal is null ? facts.ToLine() : $"{facts.ToLine()}\nmoebius: {refusal}");
    }

    private static S3Credentials? Credentials() => (Variable(ContainerVariables.AwsKeyId), Variable(ContainerVariables.AwsSecret)) switch
    {
        ({ } id, { } secret) => new S3Credentials(id, secret, Variable("AWS_SESSION_TOKEN")),
        (null, null) => null,
        _ => throw new UserInputException($"{ContainerVariables.AwsKeyId}, {ContainerVariables.AwsSecret}: one of them is set and the other is not: set both, or none"),
    };

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
