using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Runtime;

/// <summary>What a resource's author should know is logged once for each generation, and nothing is kept of resources that are gone.</summary>
public sealed class AdviceLogTests : ILogger
{
    private readonly List<string> _lines = [];
    private readonly ControllerContext _context;
    private readonly MoEDeployment _resource = Samples.MoE("kvCache: {shared: {address: 'valkey:6379', passwordSecretRef: {name: s, key: k}}}");

    public AdviceLogTests() => _context = new ControllerContext(OperatorSettings.Default, null!, null!, null!, null!, null!, null!, TimeProvider.System) { Log = this };

    [Fact]
    public void Each_generation_is_told_once()
    {
        _context.Advise(_resource);
        _context.Advise(_resource);
        Assert.Single(_lines);
        _resource.Metadata.Generation++;
        _context.Advise(_resource);
        Assert.Equal(2, _lines.Count);
        // Made anew before anybody saw that it was gone.
        _resource.Metadata.Uid = "another";
        _context.Advise(_resource);
        Assert.Equal(3, _lines.Count);
        Assert.Equal(1, _context.Advised);
    }

    [Fact]
    public async Task What_is_gone_is_forgotten()
    {
        var policy = Samples.Policy(name: "austen");
        var optimizer = Samples.Optimizer(name: "austen");
        _context.Advise(_resource);
        _context.Advise(policy);
        _context.Advise(optimizer);
        Assert.Equal(3, _context.Advised);
        await new MoEDeploymentController(_context).DeletedAsync(_resource, TestContext.Current.CancellationToken);
        await new KVPrivacyPolicyController(_context).DeletedAsync(policy, TestContext.Current.CancellationToken);
        await new PromptOptimizerController(_context).DeletedAsync(optimizer, TestContext.Current.CancellationToken);
        Assert.Equal(0, _context.Advised);
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => _lines.Add(formatter(state, exception));
}
