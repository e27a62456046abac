using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Moebius.Inference.Text;

/// <summary>How JSON is written.</summary>
internal static class JsonStyles
{
    /// <summary>For models and clients: only what must be is escaped.</summary>
    public static JsonSerializerOptions Plain { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>For what a command prints. What is no number in JSON is the string "NaN", "Infinity" or "-Infinity".</summary>
    public static JsonSerializerOptions Printed { get; } = new(JsonSerializerDefaults.Web) { WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };
}
