package mlc.sample.model

import mlc.bindings.Prediction

/** How a banner is meant. A label `not_x` beside a label `x` is a NO, and `x` a YES. */
enum class Mood { YES, NO, NEUTRAL }

/** What stands in big letters over the picture. */
data class Banner(val text: String, val mood: Mood)

/**
 * The banner of the best label.
 *
 * @param labels All labels of the model.
 * @param wording What to say instead of a label, where there is something better.
 */
fun bannerOf(best: Prediction, labels: List<String>, wording: Map<String, String>): Banner {
    val mood = when {
        negated(best.label)?.let { it in labels } == true -> Mood.NO
        labels.any { negated(it) == best.label } -> Mood.YES
        else -> Mood.NEUTRAL
    }
    return Banner(wording[best.label] ?: readable(best.label), mood)
}

/** `hot_dog` for people: `Hot dog`. */
fun readable(label: String): String =
    label.replace('_', ' ').trim().replaceFirstChar { it.uppercase() }

private fun negated(label: String): String? = NEGATION.matchEntire(label)?.groupValues?.get(1)

private val NEGATION = Regex("(?:not|no|non)[_ -](.+)")
