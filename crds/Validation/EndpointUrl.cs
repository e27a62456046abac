using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Validation;

/// <summary>URLs of models, checked alike where a resource is planned and where a file is read.</summary>
public static class EndpointUrl
{
    /// <summary>Parses the base URL of an endpoint.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="field">Its field, for messages.</param>
    /// <exception cref="UserInputException">It is no URL with a host and port, or has what no call would use.</exception>
    public static Uri Parse(ModelEndpoint endpoint, string field)
    {
        var text = endpoint.Url;
        // A password would show in messages; the message that refuses it must not show it either.
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Host.Length == 0 || url.Port < 1)
            throw new UserInputException($"{field}.url: {(text.Contains('@', StringComparison.Ordinal) ? "" : $"'{text}' ")}is not a URL with a host: write one such as http://host:8000/v1");
        if (url.UserInfo.Length > 0)
            throw new UserInputException($"{field}.url: must not hold a user or password: give the key with apiKeySecretRef");
        if (url.Query.Length > 0 || url.Fragment.Length > 0)
            throw new UserInputException($"{field}.url: '{text}' must not have a query or fragment: write the base URL up to and including /v1");
        return url;
    }
}
