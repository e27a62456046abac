using System.Net;
using Microsoft.Data.Sqlite;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>What is deleted from a file leaves it.</summary>
public sealed class PurgeTests : ScriptedServiceTests
{
    [Fact]
    public async Task What_is_purged_while_somebody_reads_leaves_the_files_after_that()
    {
        await using var service = await StartAsync();
        var id = (string)(await service.RunAsync(new { prompt = "a very secret lion" }))["id"]!;
        using (var reader = new SqliteConnection($"Data Source={Path.Combine(Store.Folder!, "jobs.sqlite")};Pooling=False"))
        {
            reader.Open();
            using var transaction = reader.BeginTransaction(deferred: true);
            using var command = reader.CreateCommand();
            command.CommandText = "SELECT COUNT(*) FROM prompt_jobs";
            Assert.Equal(1L, command.ExecuteScalar());
            using var purged = await service.Client.DeleteAsync($"/v1/jobs/{id}?purge=true");
            Assert.Equal(HttpStatusCode.NoContent, purged.StatusCode);
            Assert.True(Stored());
        }

        await Eventually.TrueAsync(() => !Stored());

        bool Stored() => Directory.GetFiles(Store.Folder!, "jobs.sqlite*").Any(file =>
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var text = new StreamReader(stream, System.Text.Encoding.Latin1);
            return text.ReadToEnd().Contains("secret", StringComparison.Ordinal);
        });
    }
}
