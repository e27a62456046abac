using System.Reflection;
using Moebius.Crds.Config;
using Moebius.Crds.Schema;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Crds.Tests.Validation;

public sealed class SpecCheckTests
{
    [Theory]
    [InlineData("{promotion: {batchSize: 0}}", "spec.promotion.batchSize: 0 is out of range: use a whole number from 1 to 65536")]
    [InlineData("{promotion: {maxDelay: soon}}", "spec.promotion.maxDelay: 'soon' is not a duration: whole numbers with units, largest first, such as 1h30m, 60s or 250ms")]
    [InlineData("{identity: {tenantHeader: \"X\\n\"}}", "spec.identity.tenantHeader: 'X ' does not match ^[A-Za-z0-9-]+$")]
    [InlineData("{publicPrefixes: [{name: a, text: x}, {name: a, text: y}]}", "spec.publicPrefixes[1].name: 'a' stands at spec.publicPrefixes[0] already: use each value once")]
    [InlineData("{publicPrefixes: [{name: a}]}", "spec.publicPrefixes[0]: exactly one of text and configMapRef must be set")]
    [InlineData("{classifier: {type: Onnx}}", "spec.classifier: onnx must be set for type Onnx and only then")]
    // Rules that span fields wait until each field is right by itself.
    [InlineData("{classifier: {type: Onnx, publicBelowPercent: 101}}", "spec.classifier.publicBelowPercent: 101 is out of range: use a whole number from 0 to 100")]
    [InlineData("{retention: null}", "spec.retention: must not be null: leave the field out for its default")]
    [InlineData("{monitor: {window: null}}", "spec.monitor.window: must not be null: leave the field out for its default")]
    [InlineData("{publicPrefixes: [null]}", "spec.publicPrefixes[0]: no value: expected an object with name, text, configMapRef")]
    public void What_is_wrong_is_named_with_what_would_be_right(string spec, string expected) =>
        Assert.Equal([expected], Errors<KVPrivacyPolicySpec>(spec, "spec"));

    [Fact]
    public void A_required_field_that_is_null_is_missing()
    {
        Assert.Equal(
            ["spec.model: required field is missing: set it to an object with name, source"],
            Errors<MoEDeploymentSpec>("{model: null}", "spec"));
        Assert.Equal(["spec: required field is missing: set it to an object with fields"], SpecCheck.Errors(null, "spec").Select(error => error.ToString()));
    }

    [Fact]
    public void A_rule_of_one_field_shows_its_value() => Assert.Equal(
        ["spec.model.source.image.path: '../x': path must be relative and stay inside the image"],
        Errors<MoEDeploymentSpec>("{model: {source: {image: {reference: i, path: ../x}}}}", "spec"));

    [Fact]
    public void A_configuration_file_has_no_prefix_and_is_refused_with_its_name()
    {
        var config = Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments("{languageModel: {url: 'http://a', model: m}, workers: 0, rounds: {max: 21}}", "c")[0], "c");
        Assert.Equal(["rounds.max", "workers"], SpecCheck.Errors(config, "").Select(error => error.Path));
        var refusal = Assert.Throws<UserInputException>(() => SpecCheck.Require(config, "", "c.yaml"));
        Assert.Equal("c.yaml: rounds.max: 21 is out of range: use a whole number from 1 to 20", refusal.Message);
        (config.Workers, config.Rounds.Max) = (1, 1);
        SpecCheck.Require(config, "", "c.yaml");
    }

    [Fact]
    public void Every_CEL_rule_has_its_counterpart_and_none_is_left_over()
    {
        var types = typeof(MoEDeployment).Assembly.GetTypes();
        var rules = types.SelectMany(type => type.GetCustomAttributes<CelRuleAttribute>())
            .Concat(types.SelectMany(type => type.GetProperties()).SelectMany(property => property.GetCustomAttributes<CelRuleAttribute>()))
            .Select(rule => rule.Message)
            .Distinct();
        Assert.Equal(rules.Order(StringComparer.Ordinal), CelRules.Messages.Order(StringComparer.Ordinal));
    }

    private static IEnumerable<string> Errors<T>(string spec, string path)
        where T : notnull =>
        SpecCheck.Errors(Manifests.Convert<T>(Manifests.ParseDocuments(spec, "s")[0], "s"), path).Select(error => error.ToString());
}
