package mlc.bindings

/** Numbers with a shape. Integers and truth values are numbers too: runtimes cast them. */
class Tensor(val data: FloatArray, val shape: List<Int>)

/** Name, shape and type of an input or output; null is a dimension left open. */
class TensorSpec(val name: String, val shape: List<Int?>, val dtype: String)

/** A file of the bundle, and what it must be. */
class Artifact(val file: String, val sha256: String, val bytes: Long)

/**
 * What an app needs to know of a model; the object of that model holds it.
 *
 * @property source SHA-256 of the file that the model was trained into.
 * @property interfaceDigest SHA-256 of inputs, outputs, preprocessing and labels: another model with the same
 * one fits the app.
 * @property preprocessing Null where the network takes no picture.
 * @property classifier Null where the outputs are no class scores.
 */
class ModelDescription(
    val name: String,
    val version: String,
    val source: String,
    val interfaceDigest: String,
    val artifact: Artifact,
    val inputs: List<TensorSpec>,
    val outputs: List<TensorSpec>,
    val preprocessing: Preprocessing?,
    val classifier: Classifier?,
)

/** A loaded artifact. [TfliteRuntime] makes one of a file; tests may put anything behind it. */
interface ModelRuntime : AutoCloseable {
    /** Run once; tensors by the network's names. Not to be called from two threads at a time. */
    fun run(inputs: Map<String, Tensor>): Map<String, Tensor>
}

/** Pixels in, labels out. Close it to give back the runtime's memory. */
class Model(val about: ModelDescription, private val runtime: ModelRuntime) : AutoCloseable {
    /** The [k] most probable labels of a picture, best first. */
    fun classify(pixels: Pixels, k: Int = 5): List<Prediction> {
        val classifier = checkNotNull(about.classifier) { "${about.name} has no class scores: use predict." }
        return classifier.topK(classifier.probabilities(predict(pixels)), k)
    }

    /** All outputs for a picture. */
    fun predict(pixels: Pixels): Map<String, Tensor> = runtime.run(inputs(pixels))

    /** All outputs for tensors, by the network's names. */
    fun run(inputs: Map<String, Tensor>): Map<String, Tensor> = runtime.run(inputs)

    /** The input tensor of a picture. */
    fun inputs(pixels: Pixels): Map<String, Tensor> {
        val preprocessing = checkNotNull(about.preprocessing) { "${about.name} takes no picture: use run." }
        return mapOf(about.inputs.single().name to preprocessing.tensor(pixels))
    }

    override fun close() = runtime.close()
}
