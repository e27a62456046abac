using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Moebius.Charts.Tests;

/// <summary>The health check for Argo CD, run by the version of Lua that Argo CD has.</summary>
public sealed class HealthCheckTests
{
    [Theory]
    [InlineData("{metadata: {generation: 1}}", "Progressing", "the operator has not looked at this generation yet")]
    [InlineData("{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: Old, message: old}]}}", "Progressing", "the operator has not looked at this generation yet")]
    [InlineData("{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: 'True', reason: AllReplicasReady, message: 1 of 1 pods answer}]}}", "Healthy", "AllReplicasReady: 1 of 1 pods answer")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'False', reason: ReplicasNotReady, message: nothing}, {type: Progressing, status: 'True', reason: RollingOut, message: 0 of 1}]}}", "Progressing", "RollingOut: 0 of 1")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Progressing, status: 'False', reason: Blocked, message: b}, {type: Ready, status: 'False', reason: InvalidSpec, message: 'spec.a: wrong'}]}}", "Degraded", "InvalidSpec: spec.a: wrong")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'False', reason: ReplicasNotReady, message: nothing}, {type: Progressing, status: 'True', reason: RollingOut, message: 0 of 1}, {type: Degraded, status: 'True', reason: ConfigurationRefused, message: no such model}]}}", "Degraded", "ConfigurationRefused: no such model")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'False', reason: ReplicasNotReady, message: nothing}, {type: Progressing, status: 'True', reason: RollingOut, message: 0 of 1}, {type: Degraded, status: 'True', reason: ContainerFailed, message: again}]}}", "Progressing", "RollingOut: 0 of 1")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: AllReplicasReady, message: 1 of 1}, {type: Degraded, status: 'True', reason: ApplyConflict, message: rival}]}}", "Healthy", "AllReplicasReady: 1 of 1")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: AllReplicasReady, message: 1 of 1}, {type: Paused, status: 'True', reason: Paused, message: nothing is changed}]}}", "Suspended", "Paused: nothing is changed")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Accepted, status: 'False', reason: OptimizerNotFound, message: make it}, {type: Complete, status: 'False', reason: C, message: not}]}}", "Progressing", "OptimizerNotFound: make it")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Accepted, status: 'True', reason: A, message: taken}]}}", "Progressing", "no condition says anything yet")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Complete, status: 'True', reason: C, message: done}]}}", "Healthy", "C: done")]
    [InlineData("{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Complete, status: 'False', reason: C, message: not}, {type: Failed, status: 'True', reason: JobFailed, message: why}]}}", "Degraded", "JobFailed: why")]
    public async Task Health_follows_the_conditions_of_the_current_generation(string resource, string status, string message)
    {
        var lua = await DebianTool.LocateAsync("lua5.1", "lua5.1");
        var script = $"obj = {Literal(Rendered.Parse(resource).Objects[0])}\nlocal function check()\n{await File.ReadAllTextAsync(RepositoryFiles.At("config/argocd/health.lua"))}\nend\nlocal health = check()\nio.write(health.status, '\\n', health.message, '\\n')\n";
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, script);

            var result = (await Tool.RunAsync(lua, [file])).EnsureSuccess();

            Assert.Equal($"{status}\n{message}\n", result.StandardOutput);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Page_shows_the_script_as_it_is()
    {
        var page = File.ReadAllText(RepositoryFiles.At("docs/gitops.md"));
        var indented = string.Join('\n', File.ReadAllLines(RepositoryFiles.At("config/argocd/health.lua")).Select(line => line.Length == 0 ? "" : "        " + line));

        Assert.Contains(indented, page, StringComparison.Ordinal);
    }

    /// <summary>A JSON value as Lua writes it.</summary>
    private static string Literal(JsonNode? node) => node switch
    {
        JsonObject map => "{" + string.Join(", ", map.Select(pair => $"[{Quoted(pair.Key)}] = {Literal(pair.Value)}")) + "}",
        JsonArray list => "{" + string.Join(", ", list.Select(Literal)) + "}",
        JsonValue value when value.TryGetValue<string>(out var text) => Quoted(text),
        JsonValue value => Convert.ToString(value.ToJsonString(), CultureInfo.InvariantCulture)!,
        null => "nil",
        _ => throw new InvalidOperationException(),
    };

    private static string Quoted(string text) => new StringBuilder(text).Replace("\\", "\\\\").Replace("'", "\\'").Insert(0, '\'').Append('\'').ToString();
}
