using System.CommandLine;
using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Moebius.Crds;
using Moebius.Inference.Fetch;

namespace Moebius.Inference.Tests.Fetch;

[Trait("Category", "Component")]
public sealed class FetchTests
{
    private static readonly byte[] Weights = RandomNumberGenerator.GetBytes(3_000_000);
    private static readonly byte[] Config = Encoding.UTF8.GetBytes("{\"model_type\":\"mixtral\"}");

    private static async Task<StoreServer> ServerAsync()
    {
        var server = await StoreServer.StartAsync();
        server.Files["config.json"] = Config;
        server.Files["model.safetensors"] = Weights;
        server.Files["README.md"] = [1];
        server.Files["pytorch_model.bin"] = [2];
        return server;
    }

    private static IModelOrigin Hub(HttpClient http, StoreServer server, string? token = StoreServer.Token, string revision = "main") => new HubOrigin(http, server.Url.ToString(), "o/m", revision, token);

    private static async Task<List<string>> FetchAsync(HttpClient http, IModelOrigin origin, string target)
    {
        var log = new List<string>();
        await Eventually.EndsAsync(new ModelFetcher(http, TimeProvider.System, log.Add).FetchAsync(origin, target, null, null, TestContext.Current.CancellationToken), "the end of a download");
        return log;
    }

    private static void AssertModel(string directory)
    {
        Assert.Equal([".origin", "config.json", "model.safetensors"], Directory.GetFileSystemEntries(directory).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal));
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(directory, "model.safetensors")));
        Assert.Equal(Config, File.ReadAllBytes(Path.Combine(directory, "config.json")));
    }

    [Fact]
    public async Task A_repository_of_the_Hub_is_read_page_by_page_at_one_commit_with_the_token()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        await FetchAsync(http, Hub(http, server), target);
        AssertModel(target);
        Assert.All(server.Requests, request => Assert.Equal($"Bearer {StoreServer.Token}", request.Authorization));
    }

    [Fact]
    public async Task A_prefix_of_a_bucket_is_read_page_by_page_and_every_request_is_signed()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        await FetchAsync(http, new S3Origin(http, "s3://bucket/a/b", server.Url.ToString(), null, new S3Credentials("id", "secret", null), TimeProvider.System), target);
        AssertModel(target);
        Assert.All(server.Requests, request => Assert.StartsWith("AWS4-HMAC-SHA256 Credential=id/", request.Authorization, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("tar")]
    [InlineData("tar.gz")]
    [InlineData("zip")]
    public async Task An_archive_is_unpacked_wherever_its_model_is(string kind)
    {
        await using var server = await ServerAsync();
        var archive = server.Files["archive"] = Archive(kind, ("top/model/config.json", Config), ("top/model/model.safetensors", Weights), ("top/other/config.jsonx", [1]), ("../../escaped.json", [1]), ("top/model/nested/x.json", [1]));
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "in", "model");
        await FetchAsync(http, new ArchiveOrigin($"{server.Url}files/archive", Convert.ToHexStringLower(SHA256.HashData(archive))), target);
        AssertModel(target);
        Assert.False(File.Exists(Path.Combine(store.Path, "escaped.json")));
    }

    [Fact]
    public async Task A_broken_download_goes_on_where_it_stopped()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        server.Cuts = 1;
        server.HalfHasArrived = () => File.Exists(Path.Combine(target + ".partial", "model.safetensors.part")) && new FileInfo(Path.Combine(target + ".partial", "model.safetensors.part")).Length > 0;
        await FetchAsync(http, Hub(http, server), target);
        AssertModel(target);
        Assert.Contains(server.Requests, request => request.Range is not null);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_an_interrupted_download_left_of_another_version_is_not_taken_for_this_one(bool s3)
    {
        await using var server = await ServerAsync();
        server.InParts = true;
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        IModelOrigin Origin() => s3 ? new S3Origin(http, "s3://bucket/a/b", server.Url.ToString(), null, null, TimeProvider.System) : Hub(http, server);
        server.Files["model.safetensors"] = RandomNumberGenerator.GetBytes(Weights.Length);
        server.Files["config.json"] = Encoding.UTF8.GetBytes("{\"model_type\":\"olmoe\"}");
        server.Files["generation_config.json"] = [1];
        using var interrupted = new CancellationTokenSource();
        server.Cuts = 1;
        server.HalfHasArrived = () =>
        {
            var part = new FileInfo(Path.Combine(target + ".partial", "model.safetensors.part"));
            if (!part.Exists || part.Length == 0)
                return false;
            interrupted.Cancel();
            return true;
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Eventually.EndsAsync(new ModelFetcher(http, TimeProvider.System, _ => { }).FetchAsync(Origin(), target, null, null, interrupted.Token)));
        server.Files["model.safetensors"] = Weights;
        server.Files["config.json"] = Config;
        server.Files.Remove("generation_config.json");
        await FetchAsync(http, Origin(), target);
        AssertModel(target);
    }

    [Fact]
    public async Task An_object_that_changes_after_it_was_listed_is_not_taken()
    {
        await using var server = await ServerAsync();
        server.InParts = true;
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var origin = new S3Origin(http, "s3://bucket/a/b", server.Url.ToString(), null, null, TimeProvider.System);
        var weights = (await origin.ListAsync(TestContext.Current.CancellationToken)).Single(file => file.Name == "model.safetensors");
        using (var request = origin.Request(weights, 0))
            Assert.Equal(HttpStatusCode.OK, (await http.SendAsync(request, TestContext.Current.CancellationToken)).StatusCode);
        server.Files["model.safetensors"] = RandomNumberGenerator.GetBytes(Weights.Length);
        using (var request = origin.Request(weights, 0))
            Assert.Equal(HttpStatusCode.PreconditionFailed, (await http.SendAsync(request, TestContext.Current.CancellationToken)).StatusCode);
    }

    [Fact]
    public async Task Changed_bytes_are_refused_and_leave_nothing_that_looks_whole()
    {
        await using var server = await ServerAsync();
        var archive = server.Files["archive"] = Archive("tar", ("config.json", Config));
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        var wrong = new string('0', 64);
        var error = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, new ArchiveOrigin($"{server.Url}files/archive", wrong), target));
        Assert.Equal($"archive: Sha256 is {Convert.ToHexStringLower(SHA256.HashData(archive))}, and should be {wrong}: the file was changed on the way or at its source; correct the checksum if the change was meant", error.Message);
        Assert.False(Directory.Exists(target));
        Assert.Equal([".listed"], Directory.GetFiles(target + ".partial").Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(null, "main", "answers 401: give credentials that may read it")]
    [InlineData(StoreServer.Token, "gone", "answers 404: it does not exist, or only with credentials")]
    public async Task What_may_not_be_read_is_named_without_the_token(string? token, string revision, string message)
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var error = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, Hub(http, server, token, revision), Path.Combine(store.Path, "model")));
        Assert.EndsWith(message, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(StoreServer.Token, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_archive_that_is_not_there_is_named_once_and_what_is_left_is_said()
    {
        await using var server = await ServerAsync();
        using var store = new TemporaryDirectory();
        var root = new RootCommand();
        foreach (var command in ModelCommands.Create())
            root.Add(command);
        var target = Path.Combine(store.Path, "model");
        var error = await Assert.ThrowsAsync<UserInputException>(() => root.Parse(["model", "fetch", "--to", target, "--http", $"{server.Url}files/none", "--sha256", new string('0', 64)]).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }, TestContext.Current.CancellationToken));
        Assert.Equal($"{server.Url}files/none answers 404: it does not exist, or only with credentials; what has come is kept in {target}.partial, beside model.lock: the same command goes on from there", error.Message);
    }

    [Fact]
    public async Task A_model_without_configuration_and_an_archive_that_is_none_are_refused()
    {
        await using var server = await ServerAsync();
        server.Files.Remove("config.json");
        var junk = server.Files["junk"] = RandomNumberGenerator.GetBytes(2000);
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var none = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, Hub(http, server), Path.Combine(store.Path, "a")));
        Assert.EndsWith("holds no config.json: it must be a model in Hub layout", none.Message, StringComparison.Ordinal);
        var broken = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, new ArchiveOrigin($"{server.Url}files/junk", Convert.ToHexStringLower(SHA256.HashData(junk))), Path.Combine(store.Path, "b")));
        Assert.StartsWith("the archive", broken.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_weights_that_are_there_twice_those_of_the_index_are_taken()
    {
        await using var server = await ServerAsync();
        server.Files.Remove("model.safetensors");
        server.Files["consolidated.safetensors"] = Weights;
        server.Files["expected.safetensors"] = [3];
        foreach (var shard in new[] { "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors" })
            server.Files[shard] = Weights;
        server.Files["model.safetensors.index.json"] = Encoding.UTF8.GetBytes("""{"weight_map":{"a":"model-00002-of-00002.safetensors","b":"model-00001-of-00002.safetensors","c":"model-00001-of-00002.safetensors"}}""");
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var log = await FetchAsync(http, Hub(http, server), Path.Combine(store.Path, "model"));
        Assert.Equal(
            [".origin", "config.json", "expected.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            Directory.GetFiles(Path.Combine(store.Path, "model")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.StartsWith("5/5 model-00002", log[^2], StringComparison.Ordinal);

        server.Files.Remove("model-00002-of-00002.safetensors");
        var error = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, Hub(http, server), Path.Combine(store.Path, "other")));
        Assert.Equal("o/m@main: model.safetensors.index.json names model-00002-of-00002.safetensors, which is not there", error.Message);
    }

    [Fact]
    public async Task A_model_that_cannot_be_served_is_refused_before_its_weights_are_fetched()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var fetcher = new ModelFetcher(http, TimeProvider.System, _ => { });
        await Assert.ThrowsAsync<UserInputException>(() => fetcher.FetchAsync(
            Hub(http, server), Path.Combine(store.Path, "a"), directory => throw new UserInputException(File.ReadAllText(Path.Combine(directory, "config.json"))), null, TestContext.Current.CancellationToken));
        server.Files.Remove("model.safetensors");
        var none = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, Hub(http, server), Path.Combine(store.Path, "b")));
        Assert.Equal("o/m@main: holds neither model.safetensors nor model.safetensors.index.json: it must be a model with weights in safetensors", none.Message);
        Assert.DoesNotContain(server.Requests, request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Several_that_ask_at_once_download_once_and_the_store_keeps_one_model_of_before()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        string At(char digit) => Path.Combine(store.Path, new string(digit, 16));
        foreach (var old in new[] { '1', '2' })
        {
            Directory.CreateDirectory(At(old));
            Directory.SetLastWriteTimeUtc(At(old), new DateTime(2026, 1, old - '0', 0, 0, 0, DateTimeKind.Utc));
        }

        Directory.CreateDirectory(At('3') + ".partial");
        Directory.CreateDirectory(Path.Combine(store.Path, "somebody-elses"));
        await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => FetchAsync(http, Hub(http, server), At('4'))));
        AssertModel(At('4'));
        Assert.Single(server.Requests, request => request.Path.EndsWith("model.safetensors", StringComparison.Ordinal));
        Assert.Equal([new string('2', 16), new string('4', 16), "somebody-elses"], Directory.GetDirectories(store.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_directory_that_holds_another_model_is_refused_and_one_that_holds_this_one_costs_no_request()
    {
        await using var server = await ServerAsync();
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        await FetchAsync(http, Hub(http, server), target);
        var asked = server.Requests.Count;
        Assert.Equal([$"{target} holds o/m@main already"], await FetchAsync(http, Hub(http, server), target));
        foreach (var (other, record) in new (IModelOrigin, string)[]
        {
            (new HubOrigin(http, server.Url.ToString(), "c/d", "main", null), "hugging-face c/d@main"),
            (Hub(http, server, revision: "v2"), "hugging-face o/m@v2"),
            (new S3Origin(http, "s3://bucket/a/b", server.Url.ToString(), null, null, TimeProvider.System), $"s3 {server.Url}bucket/a/b"),
            (new ArchiveOrigin($"{server.Url}files/archive?token=hidden", new string('0', 64)), $"sha256 {new string('0', 64)}"),
        })
        {
            var refused = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, other, target));
            Assert.Equal($"--to: {target} holds another model (hugging-face o/m@main instead of {record}): name another directory, or delete it", refused.Message);
        }

        Assert.Equal(asked, server.Requests.Count);
        AssertModel(target);
    }

    /// <summary>A copy by hand, or by a program that wrote nothing down.</summary>
    [Fact]
    public async Task A_directory_of_unknown_origin_is_held_against_a_checksum_and_otherwise_said_to_be_unchecked()
    {
        await using var server = await ServerAsync();
        var archive = server.Files["archive"] = Archive("tar", ("model/config.json", Config), ("model/model.safetensors", Weights));
        using var http = StoreClient.Create(TimeProvider.System);
        using var store = new TemporaryDirectory();
        var target = Path.Combine(store.Path, "model");
        Directory.CreateDirectory(target);
        File.WriteAllBytes(Path.Combine(target, "config.json"), Config);
        File.WriteAllBytes(Path.Combine(target, "model.safetensors"), [.. Weights[..^1], (byte)~Weights[^1]]);
        IModelOrigin Origin() => new ArchiveOrigin($"{server.Url}files/archive", Convert.ToHexStringLower(SHA256.HashData(archive)));
        var refused = await Assert.ThrowsAsync<UserInputException>(() => FetchAsync(http, Origin(), target));
        Assert.Equal($"--to: {target} holds another model: model.safetensors is not that of {server.Url}files/archive; name another directory, or delete it", refused.Message);
        Assert.Equal("", ModelFetcher.Left(target));
        Assert.Equal([$"{target} is there, and nothing says where it came from: taken for o/m@main as it is, nothing was checked"], await FetchAsync(http, Hub(http, server), target));

        File.WriteAllBytes(Path.Combine(target, "model.safetensors"), Weights);
        await FetchAsync(http, Origin(), target);
        AssertModel(target);
        var asked = server.Requests.Count;
        Assert.Equal([$"{target} holds {server.Url}files/archive already"], await FetchAsync(http, Origin(), target));
        Assert.Equal(asked, server.Requests.Count);
    }

    [Fact]
    public void Credentials_in_an_address_are_refused_and_not_repeated()
    {
        using var http = StoreClient.Create(TimeProvider.System);
        var digest = new string('0', 64);
        foreach (var (option, make) in new (string, Func<IModelOrigin>)[]
        {
            ("--http", () => new ArchiveOrigin("https://user:pass@example.com/a.tar", digest)),
            ("--endpoint", () => new HubOrigin(http, "https://user:pass@example.com", "a/b", "main", null)),
            ("--endpoint", () => new S3Origin(http, "s3://bucket", "https://user:pass@example.com", null, null, TimeProvider.System)),
            ("--s3", () => new S3Origin(http, "s3://user:pass@bucket", null, null, null, TimeProvider.System)),
        })
        {
            var error = Assert.Throws<UserInputException>(make).Message;
            Assert.StartsWith($"{option}: the address has a user or password in it", error, StringComparison.Ordinal);
            Assert.DoesNotContain("pass@", error, StringComparison.Ordinal);
        }
    }

    private static byte[] Archive(string kind, params (string Name, byte[] Bytes)[] files)
    {
        using var result = new MemoryStream();
        if (kind == "zip")
        {
            using (var zip = new ZipArchive(result, ZipArchiveMode.Create, leaveOpen: true))
            {
                foreach (var (name, bytes) in files)
                {
                    using var entry = zip.CreateEntry(name).Open();
                    entry.Write(bytes);
                }
            }

            return result.ToArray();
        }

        var packed = kind == "tar.gz" ? new GZipStream(result, CompressionLevel.Fastest, leaveOpen: true) : (Stream)result;
        using (var tar = new TarWriter(packed, leaveOpen: true))
        {
            foreach (var (name, bytes) in files)
                tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(bytes) });
            tar.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, "top/model/link.json") { LinkName = "/etc/passwd" });
        }

        packed.Dispose();
        return result.ToArray();
    }
}
