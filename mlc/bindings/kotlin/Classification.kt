package mlc.bindings

import kotlin.math.exp

/** What the scores of a classifier are. */
enum class Scores { PROBABILITIES, LOGITS }

/** A label with its place among the labels and its probability, 0..1. */
data class Prediction(val label: String, val index: Int, val probability: Float)

/** Which output holds the scores of the [labels]. */
class Classifier(val output: String, private val scores: Scores, val labels: List<String>) {
    /** The probability of every label. A single sigmoid score is that of the second of two labels. */
    fun probabilities(outputs: Map<String, Tensor>): FloatArray {
        val values = outputs.getValue(output).data
        val shares = if (scores == Scores.LOGITS) softmax(values) else values
        return if (shares.size == 1) floatArrayOf(1 - shares[0], shares[0]) else shares
    }

    /** The [k] most probable labels, best first; of equal ones the earlier label first. */
    fun topK(probabilities: FloatArray, k: Int): List<Prediction> = labels
        .mapIndexed { index, label -> Prediction(label, index, probabilities[index]) }
        .sortedByDescending { it.probability }
        .take(k)

    private fun softmax(scores: FloatArray): FloatArray {
        val highest = scores.fold(Float.NEGATIVE_INFINITY, ::maxOf)
        val powers = DoubleArray(scores.size) { exp((scores[it] - highest).toDouble()) }
        val total = powers.sum()
        return FloatArray(scores.size) { (powers[it] / total).toFloat() }
    }
}
