namespace Moebius.PromptOptimizer.Models;

/// <summary>An image and its media type.</summary>
internal sealed record GeneratedImage(byte[] Bytes, string MediaType)
{
    /// <summary>Largest answer read for an image, in bytes. Ours.</summary>
    public const int MaxBytes = 64 * 1024 * 1024;

    /// <summary>An image that an endpoint has sent.</summary>
    /// <param name="bytes">What it sent.</param>
    /// <param name="field">The endpoint's field, for the message.</param>
    /// <exception cref="ModelRejectedException">It is not an image that a browser shows.</exception>
    public static GeneratedImage Of(byte[] bytes, string field) =>
        new(bytes, TypeOf(bytes) ?? throw new ModelRejectedException($"{field}: the image is neither PNG, JPEG nor WebP", "", null));

    /// <summary>An answer of more than <see cref="MaxBytes"/>.</summary>
    public static UnusableAnswerException TooLarge() => new($"the answer is larger than {MaxBytes} bytes: ask for a smaller image with imageModel.size");

    /// <summary>Media type by the first bytes; null for anything else.</summary>
    private static string? TypeOf(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8 && bytes[0] == 0x89 && bytes[1..4].SequenceEqual("PNG"u8))
            return "image/png";
        if (bytes.Length > 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
            return "image/jpeg";
        return bytes.Length > 12 && bytes.StartsWith("RIFF"u8) && bytes[8..12].SequenceEqual("WEBP"u8) ? "image/webp" : null;
    }
}
