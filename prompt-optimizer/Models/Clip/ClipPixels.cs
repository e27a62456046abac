namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>Turns an image into what CLIP sees: the middle of it in the model's size, red, green and blue one after the other.</summary>
internal static class ClipPixels
{
    /// <exception cref="UnreadableImageException">It is too large, or cannot be decoded.</exception>
    public static float[] Read(byte[] image, ClipPreprocessing preprocessing)
    {
        var bytes = Bytes(image, preprocessing);
        var plane = preprocessing.Width * preprocessing.Height;
        var result = new float[3 * plane];
        for (var pixel = 0; pixel < plane; pixel++)
        {
            for (var colour = 0; colour < 3; colour++)
                result[(colour * plane) + pixel] = ((bytes[(pixel * 3) + colour] * preprocessing.Factor) - preprocessing.Mean[colour]) / preprocessing.Deviation[colour];
        }

        return result;
    }

    /// <summary>Red, green and blue of each pixel, scaled and cut.</summary>
    internal static byte[] Bytes(byte[] image, ClipPreprocessing preprocessing)
    {
        using var bitmap = ImageDecoder.Decode(image);
        var scaled = preprocessing.Scaling.Of(bitmap.Width, bitmap.Height);
        var place = ((scaled.Width - preprocessing.Width) / 2, (scaled.Height - preprocessing.Height) / 2);
        return PillowScaling.Scale(bitmap.GetPixelSpan(), bitmap.Width, bitmap.Height, scaled, place, (preprocessing.Width, preprocessing.Height), preprocessing.Scaling.Filter);
    }
}
