package mlc.sample

import mlc.bindings.ModelRuntime
import mlc.bindings.Tensor
import mlc.bindings.TfliteRuntime
import mlc.bindings.decodePng
import mlc.sample.model.ModelLoader

/** A device whose kernels are wrong: every output is another by 0.2. */
class Skewed(private val right: ModelRuntime) : ModelRuntime {
    override fun run(inputs: Map<String, Tensor>): Map<String, Tensor> = right.run(inputs).mapValues { (_, tensor) ->
        Tensor(FloatArray(tensor.data.size) { tensor.data[it] + 0.2f }, tensor.shape)
    }

    override fun close() = right.close()
}

val skewedLoader = ModelLoader({ file, about -> Skewed(TfliteRuntime(file, about)) }, ::decodePng)

/** The app on such a device. */
class SkewedApp : SampleApp() {
    override val loader = skewedLoader
}
