using Moebius.Crds;
using Moebius.Inference.Fetch;

namespace Moebius.Inference.Tests.Fetch;

/// <summary>Listings of a store that does not answer as it should.</summary>
[Trait("Category", "Component")]
public sealed class ListingTests
{
    [Theory]
    [InlineData("[]", "[]", "")]
    [InlineData("""{"sha": 5}""", "[]", "")]
    [InlineData("""{"sha": "c"}""", """[{"type": 1}]""", "")]
    [InlineData("""{"sha": "c"}""", "[]", "<http://[>; rel=\"next\"")]
    [InlineData("""{"sha": "c"}""", "[]", "<http://elsewhere/?cursor=2>; rel=\"next\"")]
    [InlineData("""{"sha": "c"}""", """{"error": "busy"}""", "")]
    [InlineData("""{"sha": "c"}""", """[{"type": "file", "path": "config.json", "size": 1.5}]""", "")]
    [InlineData("""{"sha": "c"}""", """[{"type": "file", "type": "file"}]""", "")]
    [InlineData("<html>", "[]", "")]
    public async Task A_server_that_is_not_the_Hub_is_told_as_such(string revision, string tree, string link)
    {
        using var http = new HttpClient(new Answers(request =>
        {
            var isTree = request.RequestUri!.AbsolutePath.Contains("/tree/", StringComparison.Ordinal);
            var response = new HttpResponseMessage { Content = new StringContent(isTree ? tree : revision) };
            if (isTree && link.Length > 0)
                response.Headers.TryAddWithoutValidation("Link", link);
            return response;
        }));
        var error = await Assert.ThrowsAsync<UserInputException>(() => new HubOrigin(http, "http://hub", "o/m", "main", null).ListAsync(TestContext.Current.CancellationToken));
        Assert.StartsWith("o/m@main: http://hub/ does not answer as the Hub does: ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("again", "page 3 of the listing is one that was read before")]
    [InlineData("endless", "more than 100 pages")]
    [InlineData("crowded", "more than 100000 entries")]
    [InlineData("long", "longer than 16 MiB")]
    public async Task A_listing_that_would_not_end_is_broken_off(string kind, string message)
    {
        var pages = 0;
        using var s3 = new HttpClient(new Answers(request => Answer($"""<r><IsTruncated>true</IsTruncated><NextContinuationToken>{Token()}</NextContinuationToken>{Entries("<Contents><Key>a/x</Key></Contents>")}</r>""")));
        var error = await Assert.ThrowsAsync<UserInputException>(() => new S3Origin(s3, "s3://bucket/a", "http://s3", null, null, TimeProvider.System).ListAsync(TestContext.Current.CancellationToken));
        Assert.StartsWith("s3://bucket/a: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.InRange(pages, 1, Listing.MostPages);

        pages = 0;
        using var hub = new HttpClient(new Answers(request =>
        {
            if (!request.RequestUri!.AbsolutePath.Contains("/tree/", StringComparison.Ordinal))
                return Answer("""{"sha": "c"}""");
            var response = Answer($"[{Entries("{},")}{{}}]");
            response.Headers.TryAddWithoutValidation("Link", $"<?cursor={Token()}>; rel=\"next\"");
            return response;
        }));
        error = await Assert.ThrowsAsync<UserInputException>(() => new HubOrigin(hub, "http://hub", "o/m", "main", null).ListAsync(TestContext.Current.CancellationToken));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.InRange(pages, 1, Listing.MostPages);

        string Token() => kind == "again" ? $"t{Math.Min(++pages, 1)}" : $"t{++pages}";

        string Entries(string entry) => kind switch
        {
            "crowded" => string.Concat(Enumerable.Repeat(entry, 5000)),
            "long" => new string(' ', Listing.MostPageBytes + 1),
            _ => entry,
        };

        static HttpResponseMessage Answer(string text) => new() { Content = new StringContent(text) };
    }

    [Fact]
    public async Task A_listing_that_goes_on_nobody_knows_where_is_refused()
    {
        using var http = new HttpClient(new Answers(_ => new HttpResponseMessage { Content = new StringContent("<r><IsTruncated>true</IsTruncated></r>") }));
        var error = await Assert.ThrowsAsync<UserInputException>(() => new S3Origin(http, "s3://bucket/a", "http://s3", null, null, TimeProvider.System).ListAsync(TestContext.Current.CancellationToken));
        Assert.StartsWith("s3://bucket/a: the store does not answer as S3 does: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_listing_with_a_document_type_is_refused()
    {
        using var http = new HttpClient(new Answers(_ => new HttpResponseMessage { Content = new StringContent("<!DOCTYPE r [<!ENTITY a \"aaaa\">]><r>&a;</r>") }));
        var error = await Assert.ThrowsAsync<UserInputException>(() => new S3Origin(http, "s3://bucket/a", "http://s3", null, null, TimeProvider.System).ListAsync(TestContext.Current.CancellationToken));
        Assert.Contains("does not answer as S3 does", error.Message, StringComparison.Ordinal);
    }

    private sealed class Answers(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => Task.FromResult(answer(request));
    }
}
