using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Tests;

public sealed class SettingsTests
{
    private const string Good = """
        languageModel:
          url: http://model:8000/v1
          model: m
        """;

    [Fact]
    public void Defaults_are_those_of_the_custom_resource()
    {
        var settings = Load(Good);
        Assert.Equal(new(3, 50000, 4, TimeSpan.FromMinutes(10)), settings.DefaultLimits);
        Assert.Equal(80, settings.AcceptScorePercent);
        Assert.Equal("http://model:8000/v1/", settings.LanguageModel.Url.AbsoluteUri);
        Assert.Null(settings.LanguageModel.ApiKey);
    }

    [Theory]
    [InlineData("workers: 0", "workers: 0 is out of range")]
    [InlineData("worker: 2", "worker: unknown field")]
    [InlineData("rounds: { max: 21 }", "rounds.max: 21 is out of range: use a whole number from 1 to 20")]
    [InlineData("defaultBudget: { deadline: 5 }", "defaultBudget.deadline")]
    [InlineData("defaultBudget: { deadline: 0s }", "defaultBudget.deadline: '0s' must be longer than 0s")]
    [InlineData("jobs: { retention: 59s }", "jobs.retention: '59s' must be 1m or longer")]
    [InlineData("jobs: { maxWaiting: 0 }", "jobs.maxWaiting: 0 is out of range: use a whole number from 1 to 100000")]
    [InlineData("scorer: { type: Clip, clip: { path: /x, labels: [a] } }", "scorer")]
    [InlineData("scorer: { type: Clip }", "scorer: clip must be set for type Clip and only then")]
    [InlineData("scorer: { clip: { claimName: c } }", "scorer: clip must be set for type Clip and only then")]
    [InlineData("scorer: { type: Clip, clip: { claimName: c, path: ../c } }", "scorer.clip.path: '../c'")]
    [InlineData("scorer: { type: Clip, clip: { claimName: c } }", "scorer.type: 'Clip' judges images and imageModel is not set: set imageModel, or write Text")]
    [InlineData("scorer: { type: VisionLanguageModel }", "scorer: endpoint must be set for type VisionLanguageModel and only then")]
    [InlineData("scorer: { endpoint: { url: 'http://v/v1', model: v } }", "scorer: endpoint must be set for type VisionLanguageModel and only then")]
    [InlineData("scorer: { type: VisionLanguageModel, endpoint: { url: 'http://v/v1', model: v } }", "scorer.type: 'VisionLanguageModel' judges images and imageModel is not set")]
    [InlineData("imageModel: { api: Automatic1111, endpoint: { url: 'http://c/sdapi/v1/', model: c } }", "imageModel: endpoint.url for Automatic1111 and ComfyUI is that of the server itself, such as http://host:7860, without /v1")]
    [InlineData("imageModel: { api: Automatic1111, size: 512x516, endpoint: { url: 'http://c', model: c } }", "imageModel: size for Automatic1111 and ComfyUI must be in multiples of 8 pixels")]
    [InlineData("imageModel: { api: Automatic1111, dialect: Paint, endpoint: { url: 'http://c', model: c } }", "imageModel.dialect")]
    [InlineData("imageModel: { api: OpenAI, size: large, endpoint: { url: 'http://c/v1', model: c } }", "imageModel.size: 'large' does not match")]
    [InlineData("imageModel: { api: OpenAI, endpoint: { url: 'http://u:p@c/v1', model: c } }", "imageModel.endpoint.url: must not hold a user or password")]
    [InlineData("imageModel: { api: OpenAI, endpoint: { url: 'http://c/v1', model: c, timeout: 5ms } }", "imageModel.endpoint.timeout: '5ms' must be 10ms to 24h")]
    [InlineData("imageModel: { api: OpenAI, endpoint: { url: 'ftp://c/v1', model: c } }", "imageModel.endpoint.url: 'ftp://c/v1' does not match")]
    public void A_setting_that_cannot_be_honoured_is_refused_by_name(string line, string message)
    {
        var error = Assert.Throws<UserInputException>(() => Load($"{Good}\n{line}"));
        Assert.Contains($"file.yaml: {message}", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [InlineData("api: OpenAI", PromptDialect.DallE)]
    [InlineData("api: OpenAI, dialect: Flux", PromptDialect.Flux)]
    [InlineData("api: Automatic1111", PromptDialect.StableDiffusion)]
    [InlineData("api: ComfyUI", PromptDialect.StableDiffusion)]
    [InlineData("api: Automatic1111, dialect: Flux", PromptDialect.Flux)]
    public void Images_have_the_dialect_of_their_API_unless_another_is_named(string fields, PromptDialect dialect)
    {
        var settings = Load($"{Good}\nimageModel: {{ {fields}, size: 512x768, endpoint: {{ url: 'http://c', model: c }} }}");
        Assert.Equal(dialect, settings.ImageModel!.Dialect);
        Assert.Equal((512, 768), settings.ImageModel.Pixels);
    }

    [Theory]
    [InlineData("claimName: c", "/models/clip")]
    [InlineData("image: { reference: registry/clip:1 }, path: vit/b32", "/models/clip/vit/b32")]
    public void A_CLIP_model_is_looked_for_below_the_root(string fields, string folder)
    {
        var settings = Load($"{Good}\nscorer: {{ type: Clip, clip: {{ {fields} }} }}\nimageModel: {{ api: OpenAI, endpoint: {{ url: 'http://c/v1', model: c }} }}");
        Assert.Equal(folder, settings.ClipFolder);
    }

    [Fact]
    public void A_secret_that_is_named_must_be_there()
    {
        var config = $"{Good}\n  apiKeySecretRef: {{ name: s, key: k }}";
        Assert.Contains("MOEBIUS_LLM_API_KEY is empty", Assert.Throws<UserInputException>(() => Load(config)).Message, StringComparison.Ordinal);
        Assert.Equal("secret", Load(config, name => name == "MOEBIUS_LLM_API_KEY" ? "secret\n" : null).LanguageModel.ApiKey);
    }

    [Fact]
    public void A_connection_and_a_folder_are_for_the_store_that_has_them()
    {
        const string connection = "postgresql://app:hunter2@db/prompts";
        static string? Variable(string name) => name == "MOEBIUS_STORE_CONNECTION" ? connection : null;
        var message = Assert.Throws<UserInputException>(() => Load(Good, Variable)).Message;
        Assert.Equal("file.yaml: store: is Sqlite, and the variable MOEBIUS_STORE_CONNECTION is set: write store: PostgreSQL, or unset it", message);
        Assert.StartsWith("MOEBIUS_STORE_CONNECTION: is empty", Assert.Throws<UserInputException>(() => Load($"{Good}\nstore: PostgreSQL")).Message, StringComparison.Ordinal);
        var settings = Load($"{Good}\nstore: PostgreSQL\njobs: {{ retention: 24h, maxWaiting: 5 }}", Variable);
        Assert.Equal("prompts", settings.Store!.Options.Database);
        Assert.Equal(new(TimeSpan.FromDays(1), 5), settings.Jobs);
        Assert.Equal(new(null, 1000), Load(Good).Jobs);
        var address = new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0);
        Assert.StartsWith("--data: has no effect with store PostgreSQL", Assert.Throws<UserInputException>(() => PromptService.Build(settings, "/nowhere", address)).Message, StringComparison.Ordinal);
        Assert.StartsWith("--data: is not set", Assert.Throws<UserInputException>(() => PromptService.Build(Load(Good), null, address)).Message, StringComparison.Ordinal);
        // Nothing that prints settings prints the secret.
        Assert.DoesNotContain("hunter2", settings.ToString(), StringComparison.Ordinal);
    }

    /// <summary>As a header it would fail every call.</summary>
    [Theory]
    [InlineData("sec\nret")]
    [InlineData("sec ret")]
    [InlineData("sécret")]
    public void A_key_that_no_header_can_carry_is_refused_without_being_shown(string key)
    {
        var message = Assert.Throws<UserInputException>(() => Load(Good, _ => key)).Message;
        Assert.Contains("MOEBIUS_LLM_API_KEY", message, StringComparison.Ordinal);
        Assert.DoesNotContain("ret", message, StringComparison.Ordinal);
    }

    private static OptimizerSettings Load(string yaml, Func<string, string?>? environment = null) =>
        OptimizerSettings.From(Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments(yaml, "file.yaml")[0], "file.yaml"), "file.yaml", environment ?? (_ => null));
}
