using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>Reads the addresses of stores.</summary>
internal static class StoreUrl
{
    /// <summary>An absolute URL without user or password: these would not be used, and would show in messages.</summary>
    /// <param name="text">The URL.</param>
    /// <param name="option">The option that gave it, for errors.</param>
    /// <param name="example">What would be right, for errors.</param>
    /// <exception cref="UserInputException">It is not a URL, or holds credentials.</exception>
    public static Uri Http(string text, string option, string example)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            throw new UserInputException($"{option}: '{text}' is not a URL, such as {example}");
        RefuseCredentials(url, option);
        return url;
    }

    /// <exception cref="UserInputException">The address holds a user or password.</exception>
    public static void RefuseCredentials(Uri url, string option)
    {
        if (url.UserInfo.Length > 0)
            throw new UserInputException($"{option}: the address has a user or password in it, which is not used: take it out, and give credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in HF_TOKEN, or as a signed URL");
    }
}
