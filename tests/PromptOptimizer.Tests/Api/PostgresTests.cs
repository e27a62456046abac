using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>The service's tests with its jobs in PostgreSQL.</summary>
public sealed class PostgresServiceTests : ServiceTests
{
    private protected override TestStore CreateStore() => new PostgresTestStore();
}

/// <summary>Jobs whose worker fails or is stopped, in PostgreSQL.</summary>
public sealed class PostgresJobFaultTests : JobFaultTests
{
    private protected override TestStore CreateStore() => new PostgresTestStore();
}

/// <summary>A PostgreSQL that takes nothing for a while.</summary>
public sealed class PostgresStoreFaultTests : StoreFaultTests
{
    [Theory]
    [InlineData("53100", "the server's disk is full: make room (53100)")]
    [InlineData("42501", "the user may not do that: let it create tables in a schema of its search path, and read and write those named prompt_* (42501)")]
    [InlineData("25006", "the server takes no changes: it is a standby, or its database is read-only (25006)")]
    [InlineData("22000", "SQLSTATE 22000")]
    public async Task What_the_server_says_is_told_by_its_code_alone(string code, string words)
    {
        await using var service = await StartAsync();
        Sql($"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no, %', NEW.prompt USING ERRCODE = '{code}'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON prompt_jobs FOR EACH ROW EXECUTE FUNCTION refuse()
            """);
        using var response = await service.Client.PostAsJsonAsync("/v1/jobs", new { prompt = Lion });
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal($"store: PostgreSQL does not answer ({words}): ask again", (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["detail"]);
    }

    private protected override TestStore CreateStore() => new PostgresTestStore();
}
