using Moebius.Inference.Fetch;

namespace Moebius.Inference.Tests.Fetch;

/// <summary>The worked examples of the AWS documentation of Signature Version 4.</summary>
public sealed class S3SignatureTests
{
    private static readonly S3Credentials Example = new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", null);
    private static readonly DateTimeOffset Then = new(2013, 5, 24, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("https://examplebucket.s3.amazonaws.com/test.txt", "bytes=0-9", "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")]
    [InlineData("https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", null, "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")]
    public void Requests_are_signed_as_documented(string url, string? range, string headers, string signature)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (range is not null)
            request.Headers.TryAddWithoutValidation("Range", range);
        S3Signature.Sign(request, Example, "us-east-1", Then);
        Assert.Equal(
            $"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={headers},Signature={signature}",
            Assert.Single(request.Headers.GetValues("Authorization")));
    }
}
