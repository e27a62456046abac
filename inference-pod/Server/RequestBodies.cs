using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Moebius.Inference.Engine;
using MinDataRate = Microsoft.AspNetCore.Server.Kestrel.Core.MinDataRate;

namespace Moebius.Inference.Server;

/// <summary>
/// Reads the bodies of requests, and bounds what they take: a large one, and what is made of it while it is checked, is
/// many times a small one, and any client may send some at once. Those up to <see cref="SmallBytes"/> always come in;
/// larger ones while those that are read and checked are within <see cref="Room"/>, and beyond it those of a party that
/// has less than its share of it: one that announces much and sends slowly keeps nobody else out. What counts is what is
/// announced: a body that comes in has room to its end. For any thread.
/// </summary>
internal sealed class RequestBodies
{
    /// <summary>Largest body.</summary>
    public const int LargestBytes = 16 << 20;

    /// <summary>Bytes of all larger ones at one time.</summary>
    public const long Room = 2L * LargestBytes;

    /// <summary>Bytes that they never go over, whoever comes: as many as some ten parties take that come one after another.</summary>
    public const long Bound = 3 * Room;

    /// <summary>Most objects, arrays, names and values of a body: each takes several bytes, however short it is.</summary>
    public const int MostValues = 1_000_000;

    private const int SmallBytes = 64 << 10;
    private const int FirstBytes = 4 << 10;
    private const int RetrySeconds = 1;

    /// <summary>
    /// A body that may be large comes within five seconds, or as fast as this on the average: room that is taken and not used
    /// is others' who wait for it.
    /// </summary>
    private static readonly MinDataRate Pace = new(bytesPerSecond: 256 << 10, gracePeriod: TimeSpan.FromSeconds(5));

    /// <summary>Levels of objects and arrays in one another.</summary>
    private const int DeepestLevel = 64;

    /// <summary>Of two fields of one name, a gateway may have looked at the one and the server use the other.</summary>
    private static readonly JsonDocumentOptions NoDuplicates = new() { AllowDuplicateProperties = false, MaxDepth = DeepestLevel };

    private readonly FairRoom _room = new(Room, Bound);

    /// <summary>Reads a body and makes something of it.</summary>
    /// <param name="request">Its request.</param>
    /// <param name="party">Whose it is.</param>
    /// <param name="make">May keep nothing of what it is given.</param>
    /// <param name="stop">Ends the reading.</param>
    /// <exception cref="ApiException">It is no JSON object, too large, or there is no room for it now.</exception>
    public async Task<T> ReadAsync<T>(HttpRequest request, string party, Func<JsonElement, T> make, CancellationToken stop)
    {
        // A page of another origin can send a body without asking, but not of this type.
        if (!request.HasJsonContentType())
            throw new ApiException(415, "invalid_request_error", request.ContentType is { Length: > 0 } type ? $"The content type is '{type}': send application/json." : "The content type is missing: send application/json.");
        if (request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw new ApiException(415, "invalid_request_error", $"The content encoding is '{encoding}': send the body as it is.");
        using var place = new Place(_room, party);
        var body = await ReadAsync(request, place, stop).ConfigureAwait(false);
        using var document = Parse(body);
        return make(document.RootElement);
    }

    private static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpRequest request, Place place, CancellationToken stop)
    {
        if (request.ContentLength > LargestBytes)
            throw TooLarge();
        place.Take(request.ContentLength ?? 0);
        if ((request.ContentLength ?? LargestBytes) > SmallBytes && request.HttpContext.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = Pace;
        // One byte more than is announced: the end is found without a larger buffer. A small body has no room of its own, so
        // that what it announces takes nothing before it comes.
        var most = (request.ContentLength ?? LargestBytes) + 1;
        var buffer = new byte[request.ContentLength > SmallBytes ? most : Math.Min(most, FirstBytes)];
        var length = 0;
        try
        {
            while (await request.Body.ReadAsync(buffer.AsMemory(length), stop).ConfigureAwait(false) is var read and > 0)
            {
                length += read;
                if (length < buffer.Length)
                    continue;
                if (length > LargestBytes)
                    throw TooLarge();
                var larger = (int)Math.Min(2 * length, most);
                if (request.ContentLength is null)
                    place.Take(larger);
                Array.Resize(ref buffer, larger);
            }
        }
        catch (BadHttpRequestException error)
        {
            throw error.StatusCode switch
            {
                StatusCodes.Status413PayloadTooLarge => TooLarge(),
                StatusCodes.Status408RequestTimeout => new ApiException(error.StatusCode, "invalid_request_error", $"The body came too slowly: one of more than {SmallBytes} bytes, or of unknown length, has to come within {Pace.GracePeriod.TotalSeconds:0} seconds or at {Pace.BytesPerSecond:0} bytes a second."),
                _ => new ApiException(error.StatusCode, "invalid_request_error", "The body could not be read."),
            };
        }

        return buffer.AsMemory(0, length);
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        if (!Utf8.IsValid(body.Span))
            throw new ApiException(400, "invalid_request_error", "The body is not valid UTF-8.");
        JsonDocument document;
        try
        {
            Count(body.Span);
            document = JsonDocument.Parse(body, NoDuplicates);
        }
        catch (JsonException error)
        {
            throw new ApiException(400, "invalid_request_error", error.LineNumber is { } line ? $"The body is not valid JSON, or nested deeper than {DeepestLevel} levels (line {line + 1}, byte {error.BytePositionInLine})." : "The body is not valid JSON: an object names a field twice.");
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object && JsonBody.IsText(document.RootElement))
            return document;
        var isObject = document.RootElement.ValueKind == JsonValueKind.Object;
        document.Dispose();
        throw new ApiException(400, "invalid_request_error", isObject ? "The body has a text with half a surrogate pair, which is not valid Unicode." : "The body must be a JSON object.");
    }

    private static void Count(ReadOnlySpan<byte> body)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = DeepestLevel });
        for (var values = 0; reader.Read(); values++)
        {
            if (values == MostValues)
                throw new ApiException(400, "invalid_request_error", $"The body has more than {MostValues} values.");
            if (JsonIntegers.IsTooLong(reader))
                throw JsonIntegers.TooLong(JsonIntegers.NameAt(body, reader.TokenStartIndex, DeepestLevel));
        }
    }

    private static ApiException TooLarge() => new(413, "invalid_request_error", $"The body is larger than {LargestBytes} bytes.");

    /// <summary>What one body takes.</summary>
    private sealed class Place(FairRoom room, string party) : IDisposable
    {
        private long _held;

        /// <summary>Takes room for this many bytes, instead of what was taken before.</summary>
        public void Take(long bytes)
        {
            if (bytes <= SmallBytes)
                return;
            if (!room.TryEnter(party, bytes - _held, out _))
                throw new ApiException(429, "rate_limit_error", "The server is busy with other large requests. Try again later.", null, "bodies_full") { RetryAfter = RetrySeconds };
            _held = bytes;
        }

        public void Dispose()
        {
            if (_held > 0)
                room.Leave(party, _held);
        }
    }
}
