package mlc.bindings

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.max
import org.json.JSONArray
import org.json.JSONObject

/**
 * One input of the bundle with what the original network answered.
 *
 * @property picture The picture as it came; null where the input is no picture.
 */
class GoldenCase(
    val name: String,
    val picture: Pixels?,
    val inputs: Map<String, Tensor>,
    val outputs: Map<String, Tensor>,
)

/** How far one output of a case is off, and how far it may be. */
data class OutputError(val name: String, val error: Float, val tolerance: Float)

/**
 * What became of a case.
 *
 * @property pixelError Largest difference of the preprocessed picture, in pixel values (0..255); null without one.
 * @property expected Label that the original network gave; null where it is no classifier. [got] likewise.
 * @property reason Why it did not pass, for people; empty where it did.
 */
data class CaseResult(
    val name: String,
    val pixelError: Float?,
    val outputs: List<OutputError>,
    val expected: String?,
    val got: String?,
    val reason: String,
) {
    val passed: Boolean get() = reason.isEmpty()
}

/**
 * The golden self-test: inputs with the outputs of the original network, run on this device.
 *
 * @property tolerance How far each output may be off on another device than the one that measured it.
 */
class Golden(val cases: List<GoldenCase>, private val tolerance: Map<String, Float>) {
    /** Run every case, from the picture where there is one. */
    fun test(model: Model): List<CaseResult> = cases.map { test(model, it) }

    private fun test(model: Model, case: GoldenCase): CaseResult {
        val inputs = case.picture?.let(model::inputs) ?: case.inputs
        val pixelError = case.picture?.let { pixelError(model.about, inputs, case.inputs) }
        val got = model.run(inputs)
        val outputs = case.outputs.map { (name, expected) ->
            OutputError(name, largestError(got[name], expected), tolerance.getValue(name))
        }
        val classifier = model.about.classifier
        return CaseResult(
            case.name,
            pixelError,
            outputs,
            expected = classifier?.answer(case.outputs),
            got = classifier?.answer(got),
            reason = reason(pixelError, outputs),
        )
    }

    private fun reason(pixelError: Float?, outputs: List<OutputError>): String {
        if (pixelError != null && pixelError > PIXEL_TOLERANCE) {
            return "The preprocessed picture is off by $pixelError pixel values."
        }
        val far = outputs.firstOrNull { it.error > it.tolerance } ?: return ""
        return "${far.name} is off by ${far.error}; allowed are ${far.tolerance}."
    }

    private fun pixelError(
        about: ModelDescription,
        got: Map<String, Tensor>,
        expected: Map<String, Tensor>,
    ): Float {
        val steps = checkNotNull(about.preprocessing).pixelSteps()
        val name = about.inputs.single().name
        return largestError(got[name], expected.getValue(name)) { steps[it % steps.size] }
    }

    /** In units of [step]. NaN anywhere, or another length, is as far off as can be. */
    private fun largestError(got: Tensor?, expected: Tensor, step: (Int) -> Float = { 1f }): Float {
        val values = got?.data ?: return Float.POSITIVE_INFINITY
        if (values.size != expected.data.size || values.any(Float::isNaN)) return Float.POSITIVE_INFINITY
        var worst = 0f
        for (i in values.indices) worst = max(worst, abs(values[i] - expected.data[i]) / step(i))
        return worst
    }

    private fun Classifier.answer(outputs: Map<String, Tensor>): String =
        topK(probabilities(outputs), 1).single().label

    companion object {
        /** A picture decoded here may differ by one pixel value from what mlc saw. */
        private const val PIXEL_TOLERANCE = 1f

        /**
         * Read the golden cases of a bundle.
         *
         * @param read Reads a file by its path inside the bundle.
         * @param decode Decodes a PNG without changing a pixel; `BitmapPixels.kt` has it.
         * @param file The manifest's `golden.file`.
         */
        fun read(
            read: (String) -> ByteArray,
            decode: (ByteArray) -> Pixels,
            file: String = "golden/golden.json",
        ): Golden {
            val folder = file.substringBeforeLast("/", "").let { if (it.isEmpty()) "" else "$it/" }
            val golden = JSONObject(read(file).decodeToString())
            val cases = golden.getJSONArray("cases").objects().map { case ->
                GoldenCase(
                    case.getString("name"),
                    if (case.isNull("picture")) null else decode(read(folder + case.getString("picture"))),
                    case.getJSONArray("inputs").tensors(folder, read),
                    case.getJSONArray("outputs").tensors(folder, read),
                )
            }
            val tflite = golden.getJSONObject("artifacts").optJSONObject("tflite")
            val tolerance = checkNotNull(tflite) { "The bundle has no golden outputs for TFLite." }
                .getJSONObject("tolerance")
            return Golden(cases, tolerance.keys().asSequence().associateWith { tolerance.getDouble(it).toFloat() })
        }

        private fun JSONArray.tensors(folder: String, read: (String) -> ByteArray): Map<String, Tensor> =
            objects().associate { row ->
                val shape = row.getJSONArray("shape")
                row.getString("name") to
                    Tensor(floats(read(folder + row.getString("file"))), List(shape.length(), shape::getInt))
            }

        private fun floats(bytes: ByteArray): FloatArray {
            val values = FloatArray(bytes.size / 4)
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values)
            return values
        }
    }
}
