using k8s.Models;
using Moebius.Crds.Host;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

/// <summary>The containers write their logs as the operator does.</summary>
public sealed class LogFormatTests
{
    private const string Argument = "--log-format=json";

    [Fact]
    public void Json_is_handed_to_every_container_that_serves_and_to_no_other()
    {
        var containers = Containers(OperatorSettings.Default with { LogFormat = LogFormat.Json }).ToList();
        Assert.Equal(["agent", "inference", "kvcache", "optimizer"], containers.Where(one => one.Args?.Contains(Argument) == true).Select(one => one.Name).Order());
        Assert.Contains(containers, one => one.Name == ModelSizeCheck.ContainerName);
    }

    [Fact]
    public void Text_changes_nothing_in_a_pod() =>
        Assert.All(Containers(OperatorSettings.Default), one => Assert.DoesNotContain(one.Args ?? [], argument => argument.Contains("log-format", StringComparison.Ordinal)));

    private static IEnumerable<V1Container> Containers(OperatorSettings settings)
    {
        var profile = Samples.Profile();
        V1PodTemplateSpec[] templates =
        [
            MoEDeploymentPlanner.Plan(Samples.MoE(), MoEReferences.None, settings, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template,
            PromptOptimizerPlanner.Plan(Samples.Optimizer(), Samples.MoE(), settings, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template,
            MemorySchedulingProfilePlanner.Plan(profile, [profile], settings, ServerCapabilities.Latest).Child<V1DaemonSet>().Spec.Template,
        ];
        return templates.SelectMany(template => template.Spec.Containers.Concat(template.Spec.InitContainers ?? []));
    }
}
