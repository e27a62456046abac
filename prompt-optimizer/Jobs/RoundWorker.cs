using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Models.Clip;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>The models behind the agents.</summary>
internal sealed record ModelSet(IChatModel Language, IChatModel? Vision, IImageModel? Image, ClipScorer? Clip = null);

/// <summary>Carries out one step of a job that calls models: infers the intent, or makes and judges one round.</summary>
internal sealed class RoundWorker(ModelSet models, JobStore store, PromptMetrics metrics, TimeProvider time)
{
    private readonly IntentInference _intent = new(models.Language);
    private readonly SceneAndStyle _scene = new(models.Language);
    private readonly SelfEvaluation _evaluation = new(models.Language);
    private readonly FeedbackTuning _tuning = new(models.Language);
    private readonly VisionScorer? _vision = models.Vision is { } vision ? new(vision) : null;

    public async Task ExecuteAsync(Job job, Step step, CancellationToken cancel)
    {
        var round = new RoundInHand(job, time.GetUtcNow());
        var meter = new TokenMeter(job.Limits.Tokens, job.CurrentTurn.Usage.Tokens, time, call => Spend(round, call), metrics.InvalidAnswer);
        switch (step)
        {
            case Step.InferIntent:
                store.StepStarted(job.Id, IntentInference.Name);
                store.SaveIntent(job.Id, await _intent.InferAsync(job.Prompt, meter, cancel).ConfigureAwait(false));
                break;
            case Step.Refine refine:
                store.StepStarted(job.Id, SceneAndStyle.Name);
                var draft = await _scene.WriteAsync(job.Prompt, job.Intent!, refine.From?.Draft, refine.From?.Scores.Issues ?? [], meter, cancel).ConfigureAwait(false);
                await JudgeAsync(round, refine.RoundNumber, SceneAndStyle.Name, draft, meter, cancel).ConfigureAwait(false);
                break;
            case Step.Tune tune:
                store.StepStarted(job.Id, FeedbackTuning.Name);
                var tuned = await _tuning.TuneAsync(job.Prompt, tune.Feedback, tune.From, tune.Issues, meter, cancel).ConfigureAwait(false);
                round.Notes.AddRange(tuned.Changes.Select(change => $"changed: {change}"));
                await JudgeAsync(round, tune.RoundNumber, FeedbackTuning.Name, tuned.Draft, meter, cancel).ConfigureAwait(false);
                break;
            default:
                throw new ArgumentException($"step {step.GetType().Name} calls no model", nameof(step));
        }
    }

    private async Task JudgeAsync(RoundInHand round, int number, string agent, PromptDraft draft, TokenMeter meter, CancellationToken cancel)
    {
        var job = round.Job;
        var feedback = job.Turns.Select(turn => turn.Feedback).OfType<string>().ToList();
        var text = TextChecks.Score(job.Prompt, feedback, draft);
        store.StepStarted(job.Id, SelfEvaluation.Name);
        var words = feedback.Count == 0 ? null : string.Join('\n', feedback);
        var evaluation = Scoring.Verify(job.Intent!, draft, await _evaluation.JudgeAsync(job.Prompt, words, job.Intent!, draft, meter, cancel).ConfigureAwait(false));
        var image = await MakeImageAsync(round, draft, [.. evaluation.Elements.Where(element => element.Present).Select(element => element.Quote!)], cancel).ConfigureAwait(false);
        VisionScore? vision = null;
        if (_vision is not null && image is not null)
        {
            store.StepStarted(job.Id, VisionScorer.Name);
            vision = await _vision.ScoreAsync(job.Intent!, words, image, meter, cancel).ConfigureAwait(false);
        }
        else if (models.Clip is { } clip && image is not null)
        {
            store.StepStarted(job.Id, ClipScorer.Name);
            var started = time.GetTimestamp();
            var verdict = await clip.ScoreAsync(job.Prompt, draft, words is not null, image, cancel).ConfigureAwait(false);
            Spend(round, new CallRecord(ClipScorer.Name, 0, 0, time.GetElapsedTime(started)));
            vision = verdict.Score;
            if (verdict.Note is { } note)
                round.Notes.Add(note);
        }

        var finished = new Round(number, job.CurrentTurn.Number, agent, draft, Scoring.Combine(text, evaluation, vision),
            image is not null, round.Notes, round.StartedAt, time.GetUtcNow(), round.Usage);
        if (store.SaveRound(job.Id, finished, image))
            metrics.RoundFinished(finished);
    }

    private async Task<GeneratedImage?> MakeImageAsync(RoundInHand round, PromptDraft draft, IReadOnlyList<string> kept, CancellationToken cancel)
    {
        if (models.Image is null)
            return null;
        var job = round.Job;
        if (job.CurrentTurn.Usage.Images >= job.Limits.Images)
        {
            round.Notes.Add($"no image: the {job.Limits.Images} of budget.images are used; judged by its text");
            return null;
        }

        store.StepStarted(job.Id, "image");
        var started = time.GetTimestamp();
        try
        {
            var image = await models.Image.GenerateAsync(ImagePrompt.Of(models.Image.Dialect, draft, kept), cancel).ConfigureAwait(false);
            Spend(round, new Usage(0, 0, 1, (long)time.GetElapsedTime(started).TotalMilliseconds));
            metrics.ImageMade();
            return image;
        }
        catch (ModelRejectedException error) when (error.Status == 400 && models.Image.RefusesPrompts)
        {
            // An image model refuses a prompt (its own content rules) with 400: this draft has no image, the job goes on.
            round.Notes.Add($"no image: {error.Message}; judged by its text");
            return null;
        }
    }

    private void Spend(RoundInHand round, CallRecord call)
    {
        metrics.Called(call);
        Spend(round, new Usage(call.InputTokens, call.OutputTokens, 0, (long)call.Duration.TotalMilliseconds));
    }

    private void Spend(RoundInHand round, Usage usage)
    {
        round.Usage += usage;
        store.AddUsage(round.Job.Id, round.Job.CurrentTurn.Number, usage);
    }

    private sealed class RoundInHand(Job job, DateTimeOffset startedAt)
    {
        public Job Job { get; } = job;

        public DateTimeOffset StartedAt { get; } = startedAt;

        public List<string> Notes { get; } = [];

        public Usage Usage { get; set; } = Usage.None;
    }
}
