namespace Moebius.Charts.Tests;

/// <summary>A wrong value is refused before anything reaches a cluster, and the message names it.</summary>
public sealed class BadValuesTests
{
    [Theory]
    [InlineData("""{"replica": 3}""", "'replica' not allowed")]
    [InlineData("""{"image": {"tagg": "v1"}}""", "at '/image': additional properties 'tagg' not allowed")]
    [InlineData("""{"replicas": "two"}""", "at '/replicas': got string, want integer")]
    [InlineData("""{"replicas": -1}""", "at '/replicas'")]
    [InlineData("""{"image": {"digest": "sha256:short"}}""", "at '/image/digest'")]
    [InlineData("""{"image": {"pullPolicy": "Sometimes"}}""", "at '/image/pullPolicy'")]
    [InlineData("""{"image": {"repository": ""}}""", "at '/image/repository'")]
    [InlineData("""{"watchNamespace": "Not_A_Name"}""", "at '/watchNamespace'")]
    [InlineData("""{"watchNamespace": "all"}""", "at '/watchNamespace'")]
    [InlineData("""{"nodeAgents": {"namespace": ""}}""", "at '/nodeAgents/namespace'")]
    [InlineData("""{"nodeAgents": {"podSecurity": "lax"}}""", "at '/nodeAgents/podSecurity'")]
    [InlineData("""{"metrics": {"port": 80}}""", "at '/metrics/port'")]
    [InlineData("""{"metrics": {"serviceMonitor": {"interval": "30"}}}""", "at '/metrics/serviceMonitor/interval'")]
    [InlineData("""{"resources": {"limits": {"memory": "lots"}}}""", "at '/resources/limits/memory'")]
    [InlineData("""{"tolerations": [{"key": "a", "operater": "Exists"}]}""", "at '/tolerations/0': additional properties 'operater' not allowed")]
    [InlineData("""{"affinity": {"nodeAffinity": {"required": {}}}}""", "at '/affinity/nodeAffinity': additional properties 'required' not allowed")]
    [InlineData("""{"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologykey": "a"}}]}}}""", "additional properties 'topologykey' not allowed")]
    [InlineData("""{"podSecurityContext": {"seLinuxOptions": {"levl": "s0"}}}""", "at '/podSecurityContext/seLinuxOptions': additional properties 'levl' not allowed")]
    [InlineData("""{"topologySpreadConstraints": [{"maxSkew": 1}]}""", "at '/topologySpreadConstraints/0': missing properties")]
    [InlineData("""{"networkPolicy": {"apiServerPorts": []}}""", "at '/networkPolicy/apiServerPorts'")]
    [InlineData("""{"networkPolicy": {"metricsFrom": [{}]}}""", "at '/networkPolicy/metricsFrom/0'")]
    [InlineData("""{"podDisruptionBudget": {"maxUnavailable": "some"}}""", "at '/podDisruptionBudget/maxUnavailable'")]
    [InlineData("""{"livenessProbe": {"periodSeconds": 0}}""", "at '/livenessProbe/periodSeconds'")]
    [InlineData("""{"securityContext": {"privilegd": true}}""", "at '/securityContext': additional properties 'privilegd' not allowed")]
    [InlineData("""{"commonLabels": {"tier": 1}}""", "at '/commonLabels/tier'")]
    [InlineData("""{"commonLabels": {"a tier": "web"}}""", "invalid propertyName 'a tier'")]
    [InlineData("""{"podLabels": {"example.com/tier": "web and more"}}""", "at '/podLabels/example.com~1tier'")]
    [InlineData("""{"fullnameOverride": "a.b"}""", "at '/fullnameOverride'")]
    [InlineData("""{"workloadImage": "not an image"}""", "at '/workloadImage'")]
    [InlineData("""{"priorityClassName": "Very High"}""", "at '/priorityClassName'")]
    [InlineData("""{"logFormat": "JSON"}""", "at '/logFormat'")]
    [InlineData("""{"prometheusRule": {"runbookUrl": "docs/alerts.md"}}""", "at '/prometheusRule/runbookUrl'")]
    [InlineData("""{"image": null}""", "missing property 'image'")]
    [InlineData("""{"metrics": {"port": null}}""", "at '/metrics': missing property 'port'")]
    [InlineData("""{"webhook": {"certManager": {"enabled": true, "issuerRef": {"kind": "ClusterIssuer"}}, "enabled": true}}""", "at '/webhook/certManager/issuerRef'")]
    [InlineData("""{"webhook": {"certManager": {"enabled": true}}}""", "webhook.certManager.enabled: is true but webhook.enabled is false")]
    [InlineData("""{"webhook": {"enabled": true, "port": 8081}}""", "webhook.port: 8081 is metrics.port, too")]
    [InlineData("""{"commonLabels": {"app.kubernetes.io/part-of": "shop"}}""", "commonLabels: 'app.kubernetes.io/part-of' is set by the chart")]
    [InlineData("""{"podLabels": {"app.kubernetes.io/instance": "other"}}""", "podLabels: 'app.kubernetes.io/instance' is set by the chart")]
    [InlineData("""{"metrics": {"podMonitor": {"labels": {"app.kubernetes.io/name": "other"}}}}""", "metrics.podMonitor.labels: 'app.kubernetes.io/name' is set by the chart")]
    [InlineData("""{"dashboards": {"labels": {"helm.sh/chart": "other"}}}""", "dashboards.labels: 'helm.sh/chart' is set by the chart")]
    [InlineData("""{"leaderElection": {"enabled": false}}""", "replicas: is 2 with leaderElection.enabled false")]
    [InlineData("""{"nodeAgents": {"namespace": "moebius-system"}}""", "nodeAgents.namespace: is 'moebius-system', the release's own namespace")]
    [InlineData("""{"metrics": {"service": {"enabled": false}, "serviceMonitor": {"enabled": true}}}""", "metrics.serviceMonitor.enabled: is true but metrics.service.enabled is false")]
    [InlineData("""{"metrics": {"serviceMonitor": {"interval": "1s1h"}}}""", "at '/metrics/serviceMonitor/interval'")]
    [InlineData("""{"metrics": {"podMonitor": {"interval": ""}}}""", "at '/metrics/podMonitor/interval'")]
    [InlineData("""{"metrics": {"serviceMonitor": {"scrapeTimeout": "31s"}}}""", "metrics.serviceMonitor.scrapeTimeout: is '31s', longer than interval '30s', and Prometheus takes no such target: write at most the interval")]
    [InlineData("""{"metrics": {"podMonitor": {"interval": "1m30s", "scrapeTimeout": "1m30s1ms"}}}""", "metrics.podMonitor.scrapeTimeout: is '1m30s1ms', longer than interval '1m30s'")]
    [InlineData("""{"metrics": {"podMonitor": {"interval": "5s"}}}""", "metrics.podMonitor.scrapeTimeout: is '10s', longer than interval '5s'")]
    [InlineData("""{"metrics": {"podMonitor": {"interval": "09s", "scrapeTimeout": "010s"}}}""", "metrics.podMonitor.scrapeTimeout: is '010s', longer than interval '09s'")]
    [InlineData("""{"metrics": {"podMonitor": {"scrapeTimeout": "0s"}}}""", "metrics.podMonitor.scrapeTimeout: is '0s': write a time above zero")]
    [InlineData("""{"serviceAccount": {"create": false}}""", "serviceAccount.name: is needed")]
    public async Task Wrong_value_is_refused_by_name(string values, string message)
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, values);

            var refused = await Tool.HelmAsync("template", "moebius", RepositoryFiles.At("charts/moebius"), "-n", "moebius-system", "-f", file);

            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains(message, refused.StandardError, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Wrong_value_of_the_definitions_is_refused_by_name()
    {
        var refused = await Tool.HelmAsync("template", "crds", RepositoryFiles.At("charts/moebius-crds"), "--set", "keeep=true");

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("'keeep' not allowed", refused.StandardError, StringComparison.Ordinal);
    }
}
