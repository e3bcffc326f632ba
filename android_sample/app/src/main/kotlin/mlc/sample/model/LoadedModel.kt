package mlc.sample.model

import java.nio.ByteBuffer
import mlc.bindings.CaseResult
import mlc.bindings.Golden
import mlc.bindings.Model
import mlc.bindings.ModelDescription
import mlc.bindings.ModelRuntime
import mlc.bindings.Pixels
import mlc.bindings.Prediction
import mlc.bindings.describe
import org.json.JSONObject

/** The best labels of a picture, best first, and how long it took from pixels to labels. */
class Answer(val predictions: List<Prediction>, val milliseconds: Double)

/** A model that is ready to run. Not to be used from two threads at a time. [trial] marks its first answer. */
class LoadedModel(
    private val model: Model,
    private val golden: Golden?,
    private var trial: PredictionMark? = null,
) : AutoCloseable {
    val about: ModelDescription get() = model.about

    /** What the network says about a picture, and the time that it took with all preprocessing. */
    fun answer(pixels: Pixels): Answer {
        val start = System.nanoTime()
        val classify = { model.classify(pixels, SHOWN) }
        val predictions = trial?.during(classify) ?: classify()
        trial = null
        return Answer(predictions, (System.nanoTime() - start) / 1e6)
    }

    /** The golden cases of the bundle, run here. Empty where the bundle has none. */
    fun selfTest(): List<CaseResult> = golden?.test(model).orEmpty()

    /** Whether there are golden cases, and all of them pass. */
    fun passes(): Boolean = selfTest().let { cases -> cases.isNotEmpty() && cases.all { it.passed } }

    override fun close() = model.close()

    private companion object {
        const val SHOWN = 5
    }
}

/**
 * Makes a model of its files.
 *
 * @param runtime Opens an artifact; on Android the TFLite interpreter.
 * @param decode Decodes a PNG without changing a pixel.
 */
class ModelLoader(
    private val runtime: (ByteBuffer, ModelDescription) -> ModelRuntime,
    private val decode: (ByteArray) -> Pixels,
) {
    /** Throws [java.io.IOException], [org.json.JSONException] or [RuntimeException] where it is no model to run. */
    fun load(files: ModelFiles, trial: PredictionMark? = null): LoadedModel {
        val manifest = JSONObject(files.read("manifest.json").decodeToString())
        val about = describe(manifest)
        val golden = manifest.optJSONObject("golden")?.let { Golden.read(files::read, decode, it.getString("file")) }
        return LoadedModel(Model(about, runtime(files.map(about.artifact.file), about)), golden, trial)
    }
}
