using System.Runtime.InteropServices;
using SkiaSharp;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>An image that cannot be looked at. The message says nothing of what it shows.</summary>
internal sealed class UnreadableImageException(string message) : Exception(message);

/// <summary>Decodes PNG, JPEG and WebP, of which the limits hold before the first pixel: a few bytes can stand for gigabytes of them.</summary>
internal static class ImageDecoder
{
    /// <summary>Most pixels; each takes four bytes, twice that where an image is stored turned. Ours.</summary>
    internal const int MaxPixels = 32 * 1024 * 1024;

    /// <summary>Most pixels of a side. Ours; it is about what WebP and JPEG decoders take.</summary>
    internal const int MaxSide = 16384;

    /// <summary>Most scans of a JPEG: each is a pass over all its pixels, and costs a few bytes. Progressive ones have about ten. Ours.</summary>
    internal const int MaxScans = 100;

    /// <summary>
    /// The first picture of an image, as red, green, blue and transparency of every pixel, turned as it is meant to be seen.
    /// Colours are as they are stored: neither profiles nor transparency change them, as in CLIP's own image processor.
    /// </summary>
    /// <exception cref="UnreadableImageException">It is too large, broken, or of another kind.</exception>
    public static SKBitmap Decode(byte[] image)
    {
        using var data = SKData.CreateCopy(image);
        using var codec = SKCodec.Create(data) ?? throw new UnreadableImageException("the image cannot be decoded");
        if (codec.EncodedFormat is not (SKEncodedImageFormat.Png or SKEncodedImageFormat.Jpeg or SKEncodedImageFormat.Webp))
            throw new UnreadableImageException("the image is neither PNG, JPEG nor WebP");
        var (width, height) = (codec.Info.Width, codec.Info.Height);
        if ((long)width * height > MaxPixels || Math.Max(width, height) > MaxSide)
            throw new UnreadableImageException($"the image has {width}x{height} pixels: at most {MaxPixels / 1024 / 1024} Mi, {MaxSide} a side, are looked at");
        if (codec.EncodedFormat == SKEncodedImageFormat.Jpeg && Scans(image) is > MaxScans and var scans)
            throw new UnreadableImageException($"the image has {scans} scans: at most {MaxScans} are looked at");

        var bitmap = Allocate(width, height);
        try
        {
            if (codec.GetPixels(bitmap.Info, bitmap.GetPixels()) is not SKCodecResult.Success)
                throw new UnreadableImageException("the image is cut off or broken");
            return codec.EncodedOrigin is SKEncodedOrigin.TopLeft ? bitmap : Turn(bitmap, codec.EncodedOrigin);
        }
        catch
        {
            bitmap.Dispose();
            throw;
        }
    }

    private static SKBitmap Allocate(int width, int height)
    {
        var bitmap = new SKBitmap();
        if (bitmap.TryAllocPixels(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul)))
            return bitmap;
        bitmap.Dispose();
        throw new UnreadableImageException($"there is no memory for the image of {width}x{height} pixels");
    }

    /// <summary>Markers of a scan; in what is coded, a byte 0xff is followed by zero.</summary>
    private static int Scans(ReadOnlySpan<byte> jpeg) => jpeg.Count([(byte)0xff, (byte)0xda]);

    /// <summary>Turns and mirrors an image as its EXIF data says, and lets go of the one that was.</summary>
    private static SKBitmap Turn(SKBitmap source, SKEncodedOrigin origin)
    {
        var (width, height) = (source.Width, source.Height);
        var lying = origin is SKEncodedOrigin.LeftTop or SKEncodedOrigin.RightTop or SKEncodedOrigin.RightBottom or SKEncodedOrigin.LeftBottom;
        var turned = lying ? Allocate(height, width) : Allocate(width, height);
        var from = MemoryMarshal.Cast<byte, int>(source.GetPixelSpan());
        // Writable: nothing else knows of it yet.
        var to = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(MemoryMarshal.Cast<byte, int>(turned.GetPixelSpan())), width * height);
        for (var y = 0; y < turned.Height; y++)
        {
            for (var x = 0; x < turned.Width; x++)
            {
                var (column, row) = origin switch
                {
                    SKEncodedOrigin.TopRight => (width - 1 - x, y),
                    SKEncodedOrigin.BottomRight => (width - 1 - x, height - 1 - y),
                    SKEncodedOrigin.BottomLeft => (x, height - 1 - y),
                    SKEncodedOrigin.LeftTop => (y, x),
                    SKEncodedOrigin.RightTop => (y, height - 1 - x),
                    SKEncodedOrigin.RightBottom => (width - 1 - y, height - 1 - x),
                    SKEncodedOrigin.LeftBottom => (width - 1 - y, x),
                    _ => (x, y),
                };
                to[(y * turned.Width) + x] = from[(row * width) + column];
            }
        }

        source.Dispose();
        return turned;
    }
}
