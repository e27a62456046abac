using System.Diagnostics;
using System.Globalization;
using Moebius.KubernetesEnvironment;
using Moebius.PromptOptimizer.Tests.Stores;
using Npgsql;

[assembly: AssemblyFixture(typeof(PostgresServer.Cleanup))]

namespace Moebius.PromptOptimizer.Tests.Stores;

/// <summary>
/// A real PostgreSQL server with a folder and a port of its own. It ends with this process, also when that is killed. Its
/// programs refuse to run as root, so there they run as nobody.
/// </summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    /// <summary>Of the user optimizer. It must be in no message.</summary>
    public const string Password = "s3cr:t/p@ss?word;a=b";

    private const int Nobody = 65534;

    private static readonly Lazy<PostgresServer> Common = new(() => StartAsync().GetAwaiter().GetResult());

    private readonly string _programs;
    private readonly string _folder;
    private ServerProcess? _process;

    private PostgresServer(string programs, string folder, int port) => (_programs, _folder, Port) = (programs, folder, port);

    /// <summary>The one that tests share which do not stop it; where there is none, the test is skipped.</summary>
    public static PostgresServer Shared => Common.Value;

    public int Port { get; }

    public bool IsRunning => _process is not null;

    private string Data => Path.Combine(_folder, "data");

    private static bool IsRoot => Environment.UserName == "root";

    /// <summary>Starts a server, or skips the test where PostgreSQL is not on this machine.</summary>
    /// <param name="tls">Its certificate and key in PEM: then it takes no connection without TLS; null: it has none.</param>
    public static async Task<PostgresServer> StartAsync((string Certificate, string Key)? tls = null)
    {
        if (Programs() is not { } programs)
        {
            Assert.Skip("PostgreSQL is not here: run build/peers/servers.sh");
            throw new InvalidOperationException();
        }

        var folder = Directory.CreateTempSubdirectory("moebius-postgres-").FullName;
        if (IsRoot)
        {
            // Another user cannot look into root's cache.
            if (Unpacked(programs) is { } unpacked)
            {
                Run("cp", ["-a", unpacked, Path.Combine(folder, "programs")]);
                programs = Path.Combine(folder, "programs", Path.GetRelativePath(unpacked, programs));
            }

            Run("chown", [Nobody.ToString(CultureInfo.InvariantCulture), folder]);
        }

        var server = new PostgresServer(programs, folder, LoopbackPorts.Take());
        try
        {
            File.WriteAllText(Path.Combine(folder, "password"), Password);
            File.SetUnixFileMode(Path.Combine(folder, "password"), (UnixFileMode)0b110_100_100);
            var (program, arguments) = server.AsUser("initdb", ["-D", server.Data, "-U", "optimizer", "-A", "scram-sha-256", "--pwfile", Path.Combine(folder, "password"), "--no-sync", "-E", "UTF8", "--locale", "C"]);
            Run(program, arguments);
            // The test's speed: what a crash of the machine would lose is no matter here.
            File.AppendAllLines(Path.Combine(server.Data, "postgresql.conf"), [$"unix_socket_directories = '{folder}'", "fsync = off", "jit = off", "max_connections = 200"]);
            if (tls is { } pem)
                server.UseTls(pem.Certificate, pem.Key);
            await server.StartAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public string ConnectionString(string database) =>
        new NpgsqlConnectionStringBuilder { Host = "127.0.0.1", Port = Port, Username = "optimizer", Password = Password, Database = database }.ConnectionString;

    /// <summary>Starts it again, with the same data and port.</summary>
    public async Task StartAsync()
    {
        var (program, arguments) = AsUser("postgres", ["-D", Data, "-p", Port.ToString(CultureInfo.InvariantCulture), "-c", "listen_addresses=127.0.0.1"]);
        _process = ServerProcess.Start(program, arguments, _folder);
        await Eventually.TrueAsync(() =>
        {
            _process.ThrowIfExited();
            try
            {
                Sql("SELECT 1");
                return true;
            }
            catch (NpgsqlException)
            {
                return false;
            }
        });
    }

    /// <summary>Ends it at once, with every connection, as a node that goes away does; what was committed stays.</summary>
    public async Task StopAsync()
    {
        if (_process is not { } process)
            return;
        _process = null;
        // Immediate shutdown: its shared memory is given back.
        Run("kill", ["-QUIT", process.Id.ToString(CultureInfo.InvariantCulture)]);
        using var limit = new CancellationTokenSource(Eventually.Limit);
        while (File.Exists(Path.Combine(Data, "postmaster.pid")) && Directory.Exists($"/proc/{process.Id}") && !limit.IsCancellationRequested)
            await Task.Delay(20);
        await process.DisposeAsync();
    }

    public void Sql(string text, string database = "postgres")
    {
        using var connection = new NpgsqlConnection($"{ConnectionString(database)};Pooling=false;Timeout=5");
        connection.Open();
#pragma warning disable CA2100 // The tests' own text.
        using var command = new NpgsqlCommand(text, connection);
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>The machine's own, or those that build/peers/servers.sh has unpacked.</summary>
    private static string? Programs()
    {
        var cache = Environment.GetEnvironmentVariable("MOEBIUS_CACHE")
            ?? Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "moebius");
        return new[] { "/usr/lib/postgresql", Path.Combine(cache, "peers", "postgresql", "usr", "lib", "postgresql") }
            .Where(Directory.Exists).SelectMany(Directory.GetDirectories).Select(version => Path.Combine(version, "bin")).FirstOrDefault(bin => File.Exists(Path.Combine(bin, "initdb")));
    }

    private void UseTls(string certificate, string key)
    {
        File.WriteAllText(Path.Combine(Data, "server.crt"), certificate);
        File.WriteAllText(Path.Combine(Data, "server.key"), key);
        File.SetUnixFileMode(Path.Combine(Data, "server.key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        if (IsRoot)
            Run("chown", [Nobody.ToString(CultureInfo.InvariantCulture), Path.Combine(Data, "server.crt"), Path.Combine(Data, "server.key")]);
        File.AppendAllLines(Path.Combine(Data, "postgresql.conf"), ["ssl = on"]);
        File.WriteAllText(Path.Combine(Data, "pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
    }

    /// <summary>The folder that a package was unpacked into; null: it is installed.</summary>
    private static string? Unpacked(string programs) =>
        programs.IndexOf("/usr/lib/postgresql", StringComparison.Ordinal) is > 0 and var at ? programs[..at] : null;

    private (string Program, string[] Arguments) AsUser(string program, IEnumerable<string> arguments)
    {
        var nobody = Nobody.ToString(CultureInfo.InvariantCulture);
        string[] user = IsRoot ? ["--reuid", nobody, "--regid", nobody, "--clear-groups"] : [];
        // A change of user takes the signal away that the server is to get when this process ends.
        string[] libraries = Unpacked(_programs) is { } folder
            ? ["env", $"LD_LIBRARY_PATH={string.Join(':', Directory.GetDirectories(Path.Combine(folder, "usr", "lib"), "*-linux-gnu"))}"]
            : [];
        return ("setpriv", [.. user, "--pdeathsig", "QUIT", "--", .. libraries, Path.Combine(_programs, program), .. arguments]);
    }

    private static void Run(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} has ended with {process.ExitCode}: {error.Result}");
    }

    /// <summary>Ends the shared server with the last test.</summary>
    public sealed class Cleanup : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            if (Common.IsValueCreated)
                await Common.Value.DisposeAsync();
        }
    }
}
