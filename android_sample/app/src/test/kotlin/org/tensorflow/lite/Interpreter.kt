package org.tensorflow.lite

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.bytedeco.javacpp.BytePointer
import org.bytedeco.tensorflowlite.BuiltinOpResolver
import org.bytedeco.tensorflowlite.FlatBufferModel
import org.bytedeco.tensorflowlite.InterpreterBuilder
import org.bytedeco.tensorflowlite.SignatureRunner
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite.kTfLiteOk

/**
 * Stands in for Android's interpreter, whose native library is for phones only: the calls that the app makes,
 * over TensorFlow Lite's own C++ interpreter on this machine.
 */
class Interpreter(file: ByteBuffer, @Suppress("UNUSED_PARAMETER") options: Options) : AutoCloseable {
    class Options

    private val bytes = BytePointer(file.remaining().toLong()).apply { asBuffer().put(file.duplicate()) }
    private val resolver = BuiltinOpResolver()
    private val model = FlatBufferModel.VerifyAndBuildFromBuffer(bytes, bytes.capacity())
    private val native = org.bytedeco.tensorflowlite.Interpreter(null as org.bytedeco.javacpp.Pointer?)

    init {
        require(model != null && !model.isNull) { "This is no TFLite model." }
        done(InterpreterBuilder(model, resolver).apply(native))
        check(!native.isNull) { "The model cannot be run." }
    }

    fun getInputTensorFromSignature(name: String, signature: String): Tensor =
        Described(checkNotNull(runner(signature).input_tensor(name)) { "There is no input $name." })

    fun getOutputTensorFromSignature(name: String, signature: String): Tensor =
        Described(checkNotNull(runner(signature).output_tensor(name)) { "There is no output $name." })

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        val runner = runner(signature)
        inputs.forEach { (name, value) ->
            val buffer = value as ByteBuffer
            val tensor = runner.input_tensor(name)
            require(buffer.remaining().toLong() == tensor.bytes()) { "$name has another size." }
            memory(tensor).put(buffer.duplicate())
        }
        done(runner.Invoke())
        outputs.forEach { (name, value) -> (value as ByteBuffer).duplicate().put(memory(runner.output_tensor(name))) }
    }

    override fun close() = native.deallocate()

    private fun runner(signature: String): SignatureRunner =
        checkNotNull(native.GetSignatureRunner(signature)) { "There is no signature $signature." }
            .also { done(it.AllocateTensors()) }

    private fun memory(tensor: TfLiteTensor): ByteBuffer =
        tensor.data().raw().capacity(tensor.bytes()).asBuffer().order(ByteOrder.nativeOrder())

    private fun done(status: Int) = check(status == kTfLiteOk) { "TensorFlow Lite failed with status $status." }

    private class Described(private val tensor: TfLiteTensor) : Tensor {
        override fun dataType(): DataType = when (tensor.type()) {
            1 -> DataType.FLOAT32
            2 -> DataType.INT32
            3 -> DataType.UINT8
            4 -> DataType.INT64
            6 -> DataType.BOOL
            9 -> DataType.INT8
            else -> error("Type ${tensor.type()} is not known here.")
        }

        override fun numDimensions() = tensor.dims().size()

        override fun numBytes() = tensor.bytes().toInt()

        override fun numElements() = shape().fold(1, Int::times)

        override fun shape() = IntArray(numDimensions()) { tensor.dims().data(it) }

        override fun shapeSignature() = shape()

        override fun index() = error("not asked for")

        override fun name(): String = tensor.name().string

        override fun quantizationParams() =
            tensor.params().let { org.tensorflow.lite.Tensor.QuantizationParams(it.scale(), it.zero_point()) }

        override fun asReadOnlyBuffer() = error("not asked for")
    }
}
