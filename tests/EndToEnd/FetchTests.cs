using System.Formats.Tar;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.EndToEnd;

/// <summary>The container of a planned download, run as it is planned: behind a proxy, from a store with a private authority.</summary>
[Trait("Category", "Component")]
public sealed class FetchTests : IDisposable
{
    private const string Store = "store.example.internal";
    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-fetch-").FullName;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<string> _asked = [];
    private readonly byte[] _archive;
    private readonly X509Certificate2 _authority;
    private readonly X509Certificate2 _certificate;
    private readonly TcpListener _store = Listener();
    private readonly TcpListener _proxy = Listener();

    public FetchTests()
    {
        using var archive = new MemoryStream();
        using (var tar = new TarWriter(archive, leaveOpen: true))
        {
            foreach (var file in Directory.GetFiles(Path.Combine(RepositoryFiles.Root, "samples/models/austen-moe")))
                tar.WriteEntry(file, Path.GetFileName(file));
        }

        _archive = archive.ToArray();
        (_authority, _certificate) = Certificates();
        _ = AcceptAsync(_store, ServeAsync);
        _ = AcceptAsync(_proxy, ForwardAsync);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _store.Dispose();
        _proxy.Dispose();
        _stop.Dispose();
        _authority.Dispose();
        _certificate.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_store_behind_a_proxy_and_a_private_authority_is_reached_with_what_the_Job_is_given()
    {
        var container = Planned($"proxy: {{url: 'http://127.0.0.1:{Port(_proxy)}'}}, caConfigMapRef: {{name: company, key: ca.crt}}", Store);
        // As a ConfigMap is mounted.
        var mounted = Directory.CreateDirectory(Path.Combine(_folder, "authorities", "..2026"));
        await File.WriteAllTextAsync(Path.Combine(mounted.FullName, "ca.crt"), _authority.ExportCertificatePem(), TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(Path.Combine(_folder, "authorities", "..data"), "..2026");
        File.CreateSymbolicLink(Path.Combine(_folder, "authorities", "ca.crt"), "..data/ca.crt");

        var (code, output, error) = await RunAsync(container);
        Assert.True(code == 0, output + error);
        Assert.True(File.Exists(Path.Combine(_folder, "model", "config.json")));
        Assert.All(_asked, line => Assert.Equal($"CONNECT {Store}:{Port(_store)} HTTP/1.1", line));
        Assert.NotEmpty(_asked);
    }

    [Theory]
    [InlineData("localhost", "localhost", "no TLS connection to localhost: The remote certificate is invalid")]
    [InlineData("a.store.invalid", ".store.invalid", "(a.store.invalid:")]
    public async Task What_needs_no_proxy_goes_without_and_an_untrusted_authority_is_told(string host, string direct, string message)
    {
        // Nobody listens where the proxy should be.
        var container = Planned($"proxy: {{url: 'http://127.0.0.1:{MoebiusProcess.FreePort()}', noProxy: [{direct}]}}", host);
        var (code, _, error) = await RunAsync(container);
        Assert.Equal(1, code);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    private Task<(int Code, string Output, string Error)> RunAsync(V1Container container)
    {
        var environment = container.Env.ToDictionary(one => one.Name, one => one.Name == "SSL_CERT_DIR" ? Path.Combine(_folder, "authorities") : one.Value);
        var run = MoebiusProcess.Start(environment, [.. container.Args.Select(argument => argument.StartsWith("--to=", StringComparison.Ordinal) ? $"--to={_folder}/model" : argument)]);
        return EndAsync();

        async Task<(int Code, string Output, string Error)> EndAsync()
        {
            using (run)
                return await run.EndAsync(TimeSpan.FromMinutes(2));
        }
    }

    private V1Container Planned(string download, string host)
    {
        var manifest = $$"""
            apiVersion: moebius.dev/v1alpha1
            kind: MoEDeployment
            metadata: {name: m, namespace: n, uid: u}
            spec:
              model:
                source:
                  http: {url: 'https://{{host}}:{{Port(_store)}}/m.tar', sha256: {{Convert.ToHexStringLower(SHA256.HashData(_archive))}}}
                  store: {size: 1Gi, download: { {{download}} } }
            """;
        var resource = Manifests.Convert<MoEDeployment>(Manifests.ParseDocuments(manifest, "m")[0], "m");
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.Empty(plan.Problems);
        return Assert.Single(plan.Children.OfType<V1Job>()).Spec.Template.Spec.Containers[0];
    }

    private async Task ServeAsync(Stream stream)
    {
        using var tls = new SslStream(stream);
        await tls.AuthenticateAsServerAsync(_certificate);
        await ReadHeadAsync(tls);
        await tls.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {_archive.Length}\r\nConnection: close\r\n\r\n"));
        await tls.WriteAsync(_archive);
        await tls.ShutdownAsync();
    }

    /// <summary>Knows where every name leads: to the store.</summary>
    private async Task ForwardAsync(Stream stream)
    {
        _asked.Add((await ReadHeadAsync(stream)).Split("\r\n")[0]);
        using var store = new TcpClient();
        await store.ConnectAsync(IPAddress.Loopback, Port(_store));
        await stream.WriteAsync("HTTP/1.1 200 OK\r\n\r\n"u8.ToArray());
        await Task.WhenAny(stream.CopyToAsync(store.GetStream()), store.GetStream().CopyToAsync(stream));
    }

    private async Task AcceptAsync(TcpListener listener, Func<Stream, Task> answer)
    {
        while (!_stop.IsCancellationRequested)
        {
            var client = await listener.AcceptTcpClientAsync(_stop.Token);
            _ = Task.Run(async () =>
            {
                using (client)
                    await answer(client.GetStream());
            });
        }
    }

    private static async Task<string> ReadHeadAsync(Stream stream)
    {
        var head = new List<byte>();
        var one = new byte[1];
        while (!head.TakeLast(4).SequenceEqual("\r\n\r\n"u8.ToArray()) && await stream.ReadAsync(one) == 1)
            head.Add(one[0]);
        return Encoding.ASCII.GetString([.. head]);
    }

    private static (X509Certificate2 Authority, X509Certificate2 Certificate) Certificates()
    {
        var (from, to) = (DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=Private authority", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var signer = authority.CreateSelfSigned(from, to);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=store", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(Store);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(signer, from.AddHours(1), to.AddHours(-1), [1]);
        return (signer, signed.CopyWithPrivateKey(key));
    }

    private static TcpListener Listener()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener;
    }

    private static int Port(TcpListener listener) => ((IPEndPoint)listener.LocalEndpoint).Port;
}
