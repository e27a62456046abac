using Moebius.Crds;

namespace Moebius.Inference.Models;

/// <summary>
/// Rotary position embedding (RoFormer, arXiv 2104.09864) and its scalings: linear, dynamic NTK, YaRN (2309.00071),
/// LongRoPE (2402.13753), Llama 3's, and proportional (all of a head, but most pairs stand still). Reads <c>rope_parameters</c> and the older <c>rope_theta</c> with
/// <c>rope_scaling</c>.
/// </summary>
internal sealed class Rope
{
    private const string Supported = "default, linear, dynamic, yarn, longrope, llama3 or proportional";

    private const string Proportional = "proportional";

    private const string Original = "original_max_position_embeddings";

    private readonly ModelConfig _settings;
    private readonly double _theta;

    /// <summary>Pairs that proportional rotates; the others have frequency 0.</summary>
    private readonly int _moving;
    private readonly double _factor;
    private readonly int _context;
    private readonly int _original;
    private readonly bool _originalIsGiven;
    private readonly (double Short, double Long)? _mscales;
    private readonly (float[] Short, float[] Long)? _longrope;
    private readonly (float[] Frequencies, float Scale) _fixed;

    /// <summary>Angles of single positions that were asked for: sequences that decode pass the same ones.</summary>
    private readonly (float[] Cos, float[] Sin)[] _known;

    /// <summary>Most bytes of them.</summary>
    private const int KnownBytes = 1 << 20;

    private Rope(ModelConfig config, ModelConfig settings, string type, int dimensions, double theta, int moving, bool interleaved, bool phiScales)
    {
        _settings = settings;
        Type = type;
        Pairs = dimensions / 2;
        Interleaved = interleaved;
        _theta = theta;
        _moving = moving;
        _context = config.Size("max_position_embeddings");
        _original = ReadOriginal(config, settings, type, _context, phiScales);
        _originalIsGiven = settings.Has(Original) || config.Has(Original);
        _factor = type is "default" ? 1
            : type is Proportional ? settings.Number(1, "factor")
            : settings.NumberOrNull("factor") ?? (type is "yarn" or "longrope" ? (double)_context / _original : settings.Number("factor"));
        if (_factor <= 0)
            throw settings.Bad("factor", "a number above 0");
        if (type is "longrope")
        {
            _longrope = (settings.Numbers("short_factor"), settings.Numbers("long_factor"));
            if (_longrope.Value.Short.Length != Pairs)
                throw settings.Bad("short_factor", $"a list of {Pairs} numbers, one per rotated pair");
            if (_longrope.Value.Long.Length != Pairs)
                throw settings.Bad("long_factor", $"a list of {Pairs} numbers, one per rotated pair");
        }
        if (phiScales && type is not "default")
            _mscales = (settings.Number("short_mscale"), settings.Number("long_mscale"));
        _fixed = Compute(_original);
        if (!IsFinite(_fixed) || !IsFinite(Compute(Math.Max(Context, _original + 1))))
            throw new UserInputException($"{settings.File}: {type} with these numbers rotates by angles, or scales by a factor, that are not finite");
        _known = new (float[], float[])[DependsOnLength ? 0 : Math.Min(_context, KnownBytes / (2 * sizeof(float) * Pairs))];
    }

    public string Type { get; }

    /// <summary>Rotated pairs of a head.</summary>
    public int Pairs { get; }

    public bool Interleaved { get; }

    /// <summary>The frequencies change once a sequence is longer than the length that the model was trained for.</summary>
    public bool DependsOnLength => Type is "dynamic" or "longrope" || _mscales is not null;

    /// <summary>The longest sequence that is rotated like every shorter one.</summary>
    public int SharedUpTo => !DependsOnLength ? int.MaxValue : Type is "dynamic" && _mscales is null ? _context : _original;

    /// <summary>
    /// The length beyond which the family computes a sequence anew with other frequencies; null where it does not.
    /// </summary>
    public int? RestartsBeyond => _mscales is not null ? _original : null;

    /// <summary>
    /// Positions that the scaling reaches. For YaRN that is at least the length trained for times the factor: model cards
    /// say to add the scaling alone, and leave <c>max_position_embeddings</c> as it was without.
    /// </summary>
    public int Context => Type switch
    {
        "dynamic" => (int)Math.Min(int.MaxValue, _context * _factor),
        "yarn" when _originalIsGiven => (int)Math.Min(int.MaxValue, Math.Max(_context, _original * _factor)),
        _ => _context,
    };

    /// <summary>YaRN's factor on the softmax scale, as DeepSeek-V3 squares it (arXiv 2412.19437).</summary>
    public double SoftmaxScale => Type is not "default" && _settings.NumberOrNull("mscale_all_dim") is { } all and not 0
        ? Math.Pow(Mscale(_factor, all), 2)
        : 1;

    /// <param name="config">The whole configuration.</param>
    /// <param name="headDim">Elements of a head that the frequencies are spread over.</param>
    /// <param name="defaultTheta">The family's base where the configuration gives none.</param>
    /// <param name="partialFactor">The family's share of a head that is rotated; null where it rotates all.</param>
    /// <param name="interleaved">Pairs are neighbours instead of halves.</param>
    /// <param name="phiScales">The family scales by short_mscale and long_mscale.</param>
    /// <param name="defaults">The family's parameters, as JSON, where the configuration gives none.</param>
    public static Rope Read(ModelConfig config, int headDim, double defaultTheta = 10_000, double? partialFactor = null, bool interleaved = false, bool phiScales = false, byte[]? defaults = null)
    {
        // An empty rope_scaling says as little as none; empty rope_parameters are the plain kind, whatever the family has by default.
        var settings = config.Object("rope_scaling") is { IsEmpty: false } scaling ? scaling : config.Object("rope_parameters") ?? ModelConfig.Parse(config.File, defaults ?? "{}"u8.ToArray());
        if (settings.HasObjectInside())
            throw new UserInputException($"{settings.File}: holds parameters per layer type; supported is one set for all layers");
        var type = settings.Text("rope_type", "type") ?? "default";
        type = type is "su" ? "longrope" : type;
        if (type is not ("default" or "linear" or "dynamic" or "yarn" or "longrope" or "llama3" or Proportional))
            throw settings.Bad(settings.Has("rope_type") ? "rope_type" : "type", Supported);
        var theta = settings.NumberOrNull("rope_theta") ?? config.Number(defaultTheta, "rope_theta");
        double? nested = settings.NumberOrNull("partial_rotary_factor"), beside = config.NumberOrNull("partial_rotary_factor") ?? partialFactor;
        // The reference implementation takes the one for the plain kind and the other for the rest.
        if (type is not "default" && beside is { } other && nested is not null && nested != other)
            throw settings.Bad("partial_rotary_factor", $"{other}, the partial_rotary_factor beside it (or the family's, where there is none)");
        var share = nested ?? beside ?? 1;
        if (partialFactor is null && share != 1 && type is not Proportional)
            throw (settings.Has("partial_rotary_factor") ? settings : config).Bad("partial_rotary_factor", "1 for this architecture");
        var dimensions = (int)(headDim * (type is Proportional ? 1 : share));
        if (theta <= 0)
            throw (settings.Has("rope_theta") ? settings : config).Bad("rope_theta", "a number above 0");
        if (dimensions < 2 || dimensions % 2 != 0 || dimensions > headDim)
            throw new UserInputException($"{config.File}: {dimensions} of {headDim} head dimensions would be rotated; supported is an even number from 2");
        if (share is < 0 or > 1)
            throw (settings.Has("partial_rotary_factor") ? settings : config).Bad("partial_rotary_factor", "a share from 0 to 1");
        return new Rope(config, settings, type, dimensions, theta, (int)(share * headDim / 2), interleaved, phiScales);
    }

    /// <summary>The length that the model was trained for: the one beside the scaling goes first, as in the reference implementation, which however takes the inner one in phimoe.</summary>
    private static int ReadOriginal(ModelConfig config, ModelConfig settings, string type, int context, bool phiScales)
    {
        var inner = settings.Size(context, Original);
        if (!config.Has(Original))
            return inner;
        var beside = config.Size(Original);
        if (phiScales && type is not "default" && beside != inner)
            throw config.Bad(Original, $"{inner}, the {Original} of the scaling (max_position_embeddings, where it has none)");
        return beside;
    }

    /// <summary>Cosines and sines for positions [start, start + count), [count, Pairs] each; not to be changed. One thread asks.</summary>
    /// <param name="start">First position.</param>
    /// <param name="count">Positions.</param>
    /// <param name="whole">Length of the sequence that the positions below it are rotated for; others each for its own.</param>
    public (float[] Cos, float[] Sin) Angles(int start, int count, int whole)
    {
        if (count > 1 || start >= _known.Length)
            return Computed(start, count, whole);
        ref var known = ref _known[start];
        if (known.Cos is null)
            known = Computed(start, 1, whole);
        return known;
    }

    private (float[] Cos, float[] Sin) Computed(int start, int count, int whole)
    {
        var (frequencies, scale) = _fixed;
        var last = 0;
        var size = checked(count * Pairs);
        float[] cos = new float[size], sin = new float[size];
        for (var t = 0; t < count; t++)
        {
            var length = Math.Max(start + t + 1, whole);
            if (DependsOnLength && length != last)
                (frequencies, scale) = Compute(last = length);
            for (var i = 0; i < Pairs; i++)
            {
                var angle = (start + t) * frequencies[i];
                cos[t * Pairs + i] = MathF.Cos(angle) * scale;
                sin[t * Pairs + i] = MathF.Sin(angle) * scale;
            }
        }
        return (cos, sin);
    }

    private (float[] Frequencies, float Scale) Compute(int length)
    {
        var (frequencies, scale) = Type switch
        {
            "linear" => (Default(_theta, (_, f) => f / _factor), 1),
            "dynamic" => (Default(_theta * Math.Pow(_factor * Math.Max(length, _context) / _context - (_factor - 1), 2.0 * Pairs / (2 * Pairs - 2)), (_, f) => f), 1),
            "yarn" => Yarn(),
            "longrope" => LongRope(length),
            "llama3" => (Llama3(), 1),
            Proportional => (Default(_theta, (i, f) => i < _moving ? f / _factor : 0), 1),
            _ => (Default(_theta, (_, f) => f), 1.0),
        };
        if (_mscales is { } m)
            scale = length > _original ? m.Long : m.Short;
        return (frequencies, (float)scale);
    }

    private static bool IsFinite((float[] Frequencies, float Scale) rotation) => float.IsFinite(rotation.Scale) && rotation.Frequencies.All(float.IsFinite);

    private float[] Default(double theta, Func<int, double, double> adjust)
    {
        var frequencies = new float[Pairs];
        for (var i = 0; i < Pairs; i++)
            frequencies[i] = (float)adjust(i, 1 / Math.Pow(theta, (double)i / Pairs));
        return frequencies;
    }

    private (float[] Frequencies, double Scale) Yarn()
    {
        var dim = 2 * Pairs;
        double? mscale = _settings.NumberOrNull("mscale"), all = _settings.NumberOrNull("mscale_all_dim");
        var scale = _settings.NumberOrNull("attention_factor")
            ?? (mscale is not (null or 0) && all is not (null or 0) ? Mscale(_factor, mscale.Value) / Mscale(_factor, all.Value) : Mscale(_factor, 1));
        double fast = Or(_settings.NumberOrNull("beta_fast"), 32), slow = Or(_settings.NumberOrNull("beta_slow"), 1);
        if (fast < 0)
            throw _settings.Bad("beta_fast", "a number above 0");
        if (slow < 0)
            throw _settings.Bad("beta_slow", "a number above 0");
        double low = CorrectionDim(fast), high = CorrectionDim(slow);
        if (_settings.Flag(true, "truncate"))
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        low = Math.Max(low, 0);
        high = Math.Min(high, dim - 1);
        if (low == high)
            high += 0.001;
        return (Default(_theta, (i, f) =>
        {
            var ramp = Math.Clamp((i - low) / (high - low), 0, 1);
            return f / _factor * ramp + f * (1 - ramp);
        }), scale);

        double CorrectionDim(double rotations) => dim * Math.Log(_original / (rotations * 2 * Math.PI)) / (2 * Math.Log(_theta));
        static double Or(double? value, double fallback) => value is null or 0 ? fallback : value.Value;
    }

    private (float[] Frequencies, double Scale) LongRope(int length)
    {
        var factors = length > _original ? _longrope!.Value.Long : _longrope!.Value.Short;
        var scale = _settings.NumberOrNull("attention_factor")
            ?? (_factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(_factor) / Math.Log(_original)));
        return (Default(_theta, (i, f) => f / factors[i]), scale);
    }

    private float[] Llama3()
    {
        double low = _settings.Number("low_freq_factor"), high = _settings.Number("high_freq_factor");
        if (high <= low)
            throw _settings.Bad("high_freq_factor", $"a number above low_freq_factor, {low}");
        return Default(_theta, (_, f) =>
        {
            var wavelength = 2 * Math.PI / f;
            if (wavelength > _original / low)
                return f / _factor;
            if (wavelength < _original / high)
                return f;
            var smooth = (_original / wavelength - low) / (high - low);
            return (1 - smooth) * f / _factor + smooth * f;
        });
    }

    private static double Mscale(double factor, double mscale) => factor <= 1 ? 1 : 0.1 * mscale * Math.Log(factor) + 1;
}
