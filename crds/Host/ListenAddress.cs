using System.Net;
using System.Net.Sockets;

namespace Moebius.Crds.Host;

/// <summary>The address and port that a server listens on, as its command line gives them.</summary>
public static class ListenAddress
{
    /// <summary>Parses ADDRESS:PORT; <c>localhost</c> stands for 127.0.0.1, an IPv6 address is in brackets, and port 0 is one that is free.</summary>
    /// <param name="text">The text.</param>
    /// <param name="option">Where it stands, for the message.</param>
    /// <exception cref="UserInputException">The text is not an address and a port.</exception>
    public static IPEndPoint Parse(string text, string option)
    {
        const string Local = "localhost:";
        var address = text.StartsWith(Local, StringComparison.OrdinalIgnoreCase) ? $"{IPAddress.Loopback}:{text[Local.Length..]}" : text;
        // The parser also takes an address without a port, as port 0, and the groups of an IPv6 address without brackets.
        var hasPort = address.LastIndexOf(':') > address.LastIndexOf(']');
        return hasPort && IPEndPoint.TryParse(address, out var endpoint) && (endpoint.AddressFamily == AddressFamily.InterNetwork || address[0] == '[')
            ? endpoint
            : throw new UserInputException($"{option}: '{text}' is not an address and a port: write for example 0.0.0.0:8080, localhost:8080 or [::]:8080");
    }
}
